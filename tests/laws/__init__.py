"""
The laws of the apply rule, from notification to table, against a workspace that shares no code with the product.

Generated cases: 3,800 on the rule in memory, and 2,950 through the product's own `apply` and `refetch_dirty`, of which
2,100 on SQLite and 850 on PostgreSQL. In addition, named cases in every order of arrival, on both databases, and
several workers at once. To search further, raise the numbers in `test_webhooks_alone` and `test_convergence`.
"""
