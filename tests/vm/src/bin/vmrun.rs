//! The host side; `scripts/vm` is its user interface.
#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::exit,
    reason = "a command line program"
)]

use provost_vm::options::Options;
use provost_vm::{Outcome, cells, disk, selftest, verbs};
use std::path::Path;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let verb = arguments.next().unwrap_or_default();
    let code = Options::parse(arguments).and_then(|options| act(&verb, &options));
    std::process::exit(code.unwrap_or_else(|error| {
        eprintln!("vm: error: {error}");
        2
    }));
}

fn act(verb: &str, options: &Options) -> Outcome<i32> {
    match verb {
        "test" => verbs::test(options),
        "run" => verbs::run(options),
        "selftest" => selftest::run(),
        "import-kernel" => verbs::import_kernel(options),
        "partition-table" => partition_table(options),
        "kernel-stamp" => print(&verbs::kernel_stamp()),
        "needs" => {
            let selection = options.words.first().map_or("default", String::as_str);
            print(&cells::needs(&cells::select(selection)?).join("\n"))
        }
        "cells" => {
            let row = |cell: &cells::Cell| format!("{:12} {}", cell.name, cell.about);
            print(&cells::CELLS.iter().map(row).collect::<Vec<_>>().join("\n"))
        }
        other => Err(format!("unknown verb {other:?}")),
    }
}

fn print(text: &str) -> Outcome<i32> {
    println!("{text}");
    Ok(0)
}

fn partition_table(options: &Options) -> Outcome<i32> {
    let [disk, start, length] = options.words.as_slice() else {
        return Err("partition-table takes the disk, start and length in MiB".into());
    };
    let number = |text: &String| text.parse().map_err(|_| format!("{text:?} is no number"));
    disk::write_partition_table(Path::new(disk), number(start)?, number(length)?)?;
    Ok(0)
}
