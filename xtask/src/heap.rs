//! What a process has allocated and not freed, as glibc counts it: `gdb` calls `malloc_trim(3)` and `malloc_info(3)` in it.

use std::process::{Command, Stdio};

use crate::Outcome;

/// Each thread keeps some freed blocks for itself, which glibc counts as in use: it must keep none.
pub(crate) const COUNT_EXACTLY: (&str, &str) = ("GLIBC_TUNABLES", "glibc.malloc.tcache_count=0");
/// The last line of what `malloc_info` writes.
pub(crate) const END: &str = "</malloc>";

/// Lets the process give back all memory that is free, and write what is in use to its standard error.
pub(crate) fn ask(process: u32) -> Outcome {
    let output = Command::new("gdb")
        .args(["--nx", "--batch", "--pid", &process.to_string()])
        .args(["--eval-command", "call (int)malloc_trim(0)"])
        .args([
            "--eval-command",
            "call (int)malloc_info(0, *(void**)&stderr)",
        ])
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("cannot run gdb: {error}"))?;
    // It ends well too where it could call nothing.
    let said = String::from_utf8_lossy(&output.stdout);
    if said.lines().any(|line| line == "$2 = 0") {
        Ok(())
    } else {
        let complaint = String::from_utf8_lossy(&output.stderr);
        Err(format!("gdb cannot ask the server: {said}{complaint}"))
    }
}

/// The bytes in use, from what `malloc_info` wrote.
pub(crate) fn bytes_in_use(report: &[String]) -> Result<u64, String> {
    // Those of single arenas come first, those of all last.
    let total = |kind: &str| {
        let line = report.iter().rev().find(|line| line.starts_with(kind));
        let size = line.and_then(|line| line.split("size=\"").nth(1)?.split('"').next());
        size.and_then(|size| size.parse::<u64>().ok())
            .ok_or_else(|| format!("glibc does not tell {kind}"))
    };
    let from_the_system = total("<system type=\"current\"")? + total("<total type=\"mmap\"")?;
    let free = total("<total type=\"fast\"")? + total("<total type=\"rest\"")?;
    Ok(from_the_system.saturating_sub(free))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_use_is_what_came_from_the_system_less_what_is_free() {
        let report = r#"<heap nr="0">
<total type="fast" count="7" size="400"/>
<total type="rest" count="5" size="100000"/>
<system type="current" size="135168"/>
</heap>
<total type="fast" count="9" size="500"/>
<total type="rest" count="12" size="300000"/>
<total type="mmap" count="1" size="200000"/>
<system type="current" size="560000"/>
<system type="max" size="561152"/>
</malloc>"#;
        let report: Vec<_> = report.lines().map(str::to_string).collect();
        assert_eq!(bytes_in_use(&report), Ok(560_000 + 200_000 - 300_500));
        assert!(bytes_in_use(&report[..4]).is_err());
    }
}
