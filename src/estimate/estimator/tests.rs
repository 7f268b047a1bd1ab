//! Worked numbers and properties of the whole estimate.
