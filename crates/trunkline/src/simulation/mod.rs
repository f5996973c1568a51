//! Proof by simulation: the simulated network itself, its likeness to the kernel, and the engine's life in it.

mod life;
mod network_tests;
