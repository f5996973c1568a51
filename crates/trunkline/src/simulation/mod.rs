//! Proof by simulation: the simulated network itself, its likeness to the kernel, and the engine's life in it.

mod client_life;
mod fan_out;
mod fidelity;
mod life;
mod mutants;
mod network_tests;
mod racing;
