"""A question about a known data set, answered with SQL, a chart and a short reading."""
