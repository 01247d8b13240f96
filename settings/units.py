"""Units that several packages convert between."""

# Milliseconds in a second. Intercom's notifications and the stored stamps use milliseconds, its REST API seconds.
MS_PER_SECOND = 1000
