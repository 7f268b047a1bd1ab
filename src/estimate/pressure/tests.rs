//! Worked numbers and properties of the machine of levels.
