"""A finished payout for people and their programs: bars and tables, JSON, CSV. `refunds payout` is made of these.

The picture of it is `refund_adapters.plots`.
"""
