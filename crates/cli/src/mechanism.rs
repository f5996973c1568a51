//! The mechanism that was asked for, on the command line or in the environment, or a clear error.

use std::env;

use trunkline::Mechanism;

use crate::failure::Failure;

const VARIABLE: &str = "TRUNKLINE_MECHANISM";

/// What `--mechanism` says, else what the environment says; `None` leaves the choice to the library.
pub(crate) fn choose(option: Option<&str>) -> Result<Option<Mechanism>, Failure> {
    match (option, env::var_os(VARIABLE)) {
        (Some(name), _) => named(name, "").map(Some),
        (None, Some(name)) if !name.is_empty() => {
            named(&name.to_string_lossy(), &format!(" in {VARIABLE}")).map(Some)
        }
        _ => Ok(None),
    }
}

fn named(name: &str, origin: &str) -> Result<Mechanism, Failure> {
    let mechanism: Mechanism = name.parse().map_err(|_| unknown(name, origin))?;
    match mechanism.check() {
        Ok(()) => Ok(mechanism),
        Err(unavailable) => Err(Failure::usage(format!(
            "cannot use mechanism {name:?}{origin}: {unavailable}"
        ))
        .with_hint(format!("these work here: {}", working()))),
    }
}

fn unknown(name: &str, origin: &str) -> Failure {
    let names: Vec<_> = Mechanism::all().iter().map(ToString::to_string).collect();
    let failure = Failure::usage(format!(
        "unknown mechanism {name:?}{origin}: there is none of that name"
    ));
    match crate::suggest::nearest(name, names.iter().map(String::as_str)) {
        Some(nearest) => failure.with_hint(format!(
            "did you mean {nearest:?}? These work here: {}",
            working()
        )),
        None => failure.with_hint(format!("these work here: {}", working())),
    }
}

fn working() -> String {
    let working = Mechanism::all()
        .iter()
        .filter(|mechanism| mechanism.check().is_ok());
    working
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(", ")
}
