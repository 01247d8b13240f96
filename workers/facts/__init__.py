"""
Intercom's JSON becomes reports of observations, from each of the four sources.

    from_notification   a webhook
    from_fetch          a GET by id
    from_listing        an entry of a list or a search; these may lag
    from_api_call       a response to a call that a user or an action made
"""
