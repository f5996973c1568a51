//! `trunkline compare`: what the ways to serve many clients cost, measured here and now.
//!
//! Two parts. The *mechanisms*: what it costs to learn who is ready ([`turns`]). The *models*: what servers cost that are
//! built in different ways ([`crate::models`]), each a process of its own ([`server`]), under the same load
//! ([`client`]). Everything is measured in rounds ([`rounds`]) and said with its range ([`samples`]); from the figures
//! follows which of the usual claims hold here ([`claims`]).

use std::io::Write;
use std::process::ExitCode;

use crate::chatter::say;
use crate::failure::Failure;

mod arguments;
mod claims;
mod client;
mod findings;
mod page;
mod plan;
mod processors;
mod progress;
mod rounds;
mod samples;
mod served;
mod server;
mod shown;
mod table;
mod target;
mod turns;

pub(crate) use arguments::CompareArguments;
use findings::Findings;
use plan::Plan;
use target::Target;

/// Measures, prints the table or the data, and writes the page.
pub(crate) fn run(arguments: &CompareArguments) -> Result<ExitCode, Failure> {
    // Whatever can be wrong is found before anything is measured.
    let plan = Plan::new(arguments)?;
    let target = Target::check(&arguments.html, arguments.force)?;
    let findings = Findings::measure(&plan)?;
    if findings.is_empty() {
        let reason = findings
            .remarks
            .first()
            .map_or("no reason is known", String::as_str);
        return Err(Failure::failed(format!(
            "nothing could be measured: {reason}"
        )));
    }
    let claims = claims::judge(&findings);
    let result = if arguments.json {
        let data = serde_json::json!({ "findings": findings, "claims": claims });
        format!("{data:#}\n")
    } else {
        table::text(&findings, &claims)
    };
    target.write(&page::html(&findings, &claims))?;
    // A reader who has closed the pipe does not want the rest.
    let _ = std::io::stdout().lock().write_all(result.as_bytes());
    say(&format!(
        "the page with the figures: {}",
        target.path().display()
    ));
    Ok(ExitCode::SUCCESS)
}
