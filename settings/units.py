"""Units that several packages convert between."""

# Milliseconds in a second: Intercom's notifications and our stored stamps are in milliseconds, its REST API in seconds.
MS_PER_SECOND = 1000
