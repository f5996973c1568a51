//! Proof by simulation: the simulated network itself, its likeness to the kernel, and the engine's life in it.
//!
//! A seed gives a [`case`], a case gives a [`run`] of one of four lives: an [`echo`] server, a [`client`], a [`wild`]
//! handler, [`several`] loops with an acceptor. After each turn the [`invariants`] hold, and a [`witness`] has seen nothing wrong. The [`runner`] goes through seeds, and has what fails made smaller
//! by [`shrink`]. The [`mutants`] prove that bugs are found.

mod case;
mod client;
mod echo;
mod fan_out;
mod fidelity;
mod invariants;
mod mutants;
mod network_tests;
mod racing;
mod run;
mod runner;
mod several;
mod shrink;
mod wild;
mod witness;
