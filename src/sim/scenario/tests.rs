//! Scenarios are read, and what is wrong with them is told as problems of a configuration are.
