"""The inbox: a Redis stream of notifications, from the moment they are acknowledged until they are in SQL."""
