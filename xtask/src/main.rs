//! Developer commands: everything that is tested, and the figures that the documentation speaks of.
#![forbid(unsafe_code)]

mod chance;
mod churn;
mod figures;
mod heap;
mod platforms;
mod programs;
mod sanitize;
#[cfg(test)]
mod scenarios;
mod served;
mod simulate;
#[cfg(target_os = "linux")]
mod stutter;
mod test;
mod tour;
mod vm;

use std::process::ExitCode;

const USAGE: &str = "\
usage: cargo xtask COMMAND

  test [--no-skip]   every test: unit, documentation, examples, the README's tour, and real peers
                     against a release build; --no-skip (or CI=true) makes a missing program a failure
  tour               the README's tour alone
  platforms [NAME…]  the selectors on other platforms, or on those whose name contains one of NAME: type-checked,
                     linked, or run under Wine and qemu; installs what it needs when it is root; takes long
  simulate [--seeds N] [--from S] [--minutes M] [--threads T]
                     the engine in a simulated network, seed after seed (a million, unless a limit is given)
  simulate --seed S [--trigger edge|level] | --case 'CASE'
                     one of them again, with every call it makes
  churn [--minutes N] [--mechanism NAME]… [--service NAME]…
                     clients that come, talk and vanish in every way, 10 minutes unless said otherwise, on every
                     mechanism or on those named (rooms by themselves): memory and descriptors must return to where they began;
                     gdb asks the server what it has allocated
  vm [SCENARIO…] [--connections N] [--memory MIB] [--mechanism NAME]…
                     in a virtual machine: clock-step (the wall clock jumps) and 1m-idle (a million connections held
                     by one process, a message through each); needs qemu and a kernel that apt-get fetches; takes long
  sanitize thread|address
                     the tests in which threads meet under the thread sanitizer, with a standard library that is
                     instrumented too, or all tests of the selectors and the engine under the address sanitizer;
                     installs what it needs when it is root; takes long
  stutter [--rounds N] [--seed S] [--busy N]
                     every test of `cargo test`, in processes that are stopped and continued at random, with so many
                     threads beside them that keep the processors busy; Linux only
  figures            system calls, user-space instructions and memory of `trunkline serve`
";

/// What a command ends with: nothing, or a sentence that says what failed.
type Outcome = Result<(), String>;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match words[..] {
        ["test"] => test::run(test::strict_by_environment()),
        ["test", "--no-skip"] => test::run(true),
        ["tour"] => programs::build_trunkline().and_then(|trunkline| tour::run(&trunkline)),
        ["platforms", ref wanted @ ..] => platforms::run(wanted),
        ["simulate", ref words @ ..] => simulate::simulate(words),
        ["churn", ref options @ ..] => churn::run(options),
        ["vm", ref words @ ..] => vm::run(words),
        ["sanitize", "thread"] => sanitize::threads(),
        ["sanitize", "address"] => sanitize::addresses(),
        #[cfg(target_os = "linux")]
        ["stutter", ref options @ ..] => stutter::run(options),
        ["figures"] => figures::run_with_raised_limit(),
        ["figures", figures::LIMIT_RAISED] => figures::run(),
        ["help" | "--help" | "-h"] => {
            print!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        _ => {
            eprint!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("error: {reason}");
            ExitCode::FAILURE
        }
    }
}
