"""`fcnrt bench`: how fast and how accurate every way of running a model here is, in one run."""
