//! What `vmrun` does for each verb of `scripts/vm`.

use crate::accel::{self, Accel};
use crate::cells::{self, Cell};
use crate::initramfs::{self, Payload};
use crate::jobs::{Job, Kind};
use crate::options::Options;
use crate::protocol::Event;
use crate::qemu::{Fate, Machine, Patience};
use crate::report::{Count, Report};
use crate::{Outcome, failed, kernel, kernel_modules};
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

/// Seconds for each test: emulation on a busy host is slow.
const TEST_TIMEOUT: u64 = 300;
const COMMAND_TIMEOUT: u64 = 600;

/// Where things are; `scripts/vm` says so in the environment.
#[derive(Debug)]
pub struct Places {
    /// Kernels, images, disks.
    pub cache: PathBuf,
    /// The built executables of this package.
    pub tools: PathBuf,
    /// The source tree.
    pub checkout: PathBuf,
}

impl Places {
    /// Reads the environment.
    ///
    /// # Errors
    /// When `scripts/vm` has not set it.
    pub fn from_environment() -> Outcome<Self> {
        let place = |name: &str| {
            let value = std::env::var_os(name).map(PathBuf::from);
            value.ok_or_else(|| format!("{name} is not set; start this through scripts/vm"))
        };
        Ok(Self {
            cache: place("PROVOST_VM_CACHE")?,
            tools: place("PROVOST_VM_TOOLS")?,
            checkout: place("PROVOST_VM_CHECKOUT")?,
        })
    }

    /// The log directory of a cell.
    #[must_use]
    pub fn logs(&self, name: &str) -> PathBuf {
        self.checkout.join("target/vm").join(name)
    }
}

/// Keeps a second harness from the same log directory until the owner ends.
///
/// # Errors
/// When the lock cannot be made.
pub fn lock(logs: &Path) -> Outcome<File> {
    let path = logs.with_extension("lock");
    fs::create_dir_all(path.parent().unwrap_or(logs)).map_err(failed("make the log directory"))?;
    let lock = File::create(&path).map_err(failed(format!("make {}", path.display())))?;
    if lock.try_lock().is_err() {
        eprintln!("vm: waiting for another run in {}", logs.display());
        lock.lock().map_err(failed("wait for another run"))?;
    }
    Ok(lock)
}

/// A file that goes away with its owner.
struct Temporary(PathBuf);

impl Drop for Temporary {
    fn drop(&mut self) {
        let _absent = fs::remove_file(&self.0);
    }
}

/// What one boot takes in and where its logs go.
#[derive(Debug)]
pub struct Load<'a> {
    /// Jobs and files.
    pub payload: &'a Payload,
    /// The log directory.
    pub logs: &'a Path,
    /// Appended to the kernel command line.
    pub extra_cmdline: &'a str,
    /// How patient the host is.
    pub patience: Patience,
}

impl<'a> Load<'a> {
    fn new(payload: &'a Payload, logs: &'a Path) -> Self {
        Self { payload, logs, extra_cmdline: "", patience: Patience::default() }
    }
}

/// One boot: builds the initramfs, starts the machine (with KVM first, if it may work).
///
/// # Errors
/// When the machine cannot even be started.
pub fn boot(
    places: &Places,
    cell: &Cell,
    load: &Load<'_>,
    mut sink: impl FnMut(&Event),
) -> Outcome<Fate> {
    let kernel = places.cache.join("kernels").join(cell.kernel);
    let archive = initramfs::build(cell, load.payload, &places.tools, &kernel)?;
    let initramfs = Temporary(load.logs.join("initramfs.cpio"));
    fs::write(&initramfs.0, archive).map_err(failed("write the initramfs"))?;
    let machine = Machine {
        cell,
        cache: &places.cache,
        initramfs: &initramfs.0,
        logs: load.logs,
        extra_cmdline: load.extra_cmdline,
        patience: load.patience,
    };
    let mut fate = Fate::NoBoot("nothing was tried".into());
    for attempt in accel::attempts_here(&places.cache) {
        fate = machine.boot(attempt, &mut sink)?;
        if !attempt.probing {
            return Ok(fate);
        }
        if !matches!(fate, Fate::NoBoot(_)) {
            accel::remember(&places.cache, Accel::Kvm);
            return Ok(fate);
        }
        eprintln!("vm: no boot with KVM; emulating from now on (forget: rm the cache's `accel`)");
        accel::remember(&places.cache, Accel::Tcg);
    }
    Ok(fate)
}

/// `vmrun test`: all tests of the cells; the exit code.
///
/// # Errors
/// When the harness itself fails.
pub fn test(options: &Options) -> Outcome<i32> {
    let places = Places::from_environment()?;
    let cells = cells::select(options.value("cell").unwrap_or("default"))?;
    let filter: Vec<String> = options.values("filter").map(str::to_owned).collect();
    let timeout_seconds = options.seconds("timeout", TEST_TIMEOUT)?;
    let mut total = Count::default();
    for at_once in cells.chunk_by(|_, next| next.beside && filter.is_empty()) {
        let prepare = |cell: &&'static Cell| {
            let arguments = if filter.is_empty() { its_tests(cell) } else { filter.clone() };
            let payload = tests_payload(&places, options, cell, (timeout_seconds, arguments))?;
            Ok((*cell, payload))
        };
        let prepared: Vec<(&Cell, Payload)> =
            at_once.iter().map(prepare).collect::<Outcome<_>>()?;
        for count in test_at_once(&places, &prepared)? {
            total.add(count);
        }
        println!();
    }
    if total == Count::default() {
        println!("no test fits");
        total.failed = 1;
    }
    println!("total of {} cells:\n{}", cells.len(), total.line());
    Ok(i32::from(total.failed > 0))
}

/// The tests of a cell's tier with these arguments.
fn tests_payload(
    places: &Places,
    options: &Options,
    cell: &Cell,
    (timeout_seconds, arguments): (u64, Vec<String>),
) -> Outcome<Payload> {
    let tier = if cell.image.is_some() { ("tier2", "systemd") } else { ("tier1", "kernel") };
    let mut payload = shared_payload(places, options)?;
    payload.executables.push((options.required(tier.0)?.into(), tier.1.to_owned()));
    payload.jobs.push(Job {
        kind: Kind::Tests,
        name: tier.1.to_owned(),
        timeout_seconds,
        program: format!("{}/{}", cell.base(), tier.1),
        arguments,
    });
    Ok(payload)
}

/// What the harness of Rust takes to run some tests, or to leave some out; says which.
fn its_tests(cell: &Cell) -> Vec<String> {
    if !cell.leaves_out.is_empty() {
        println!(
            "cell {}: leaves out {}, which another cell runs",
            cell.name,
            cell.leaves_out.join(", ")
        );
    }
    let skipped = cell.leaves_out.iter().flat_map(|name| ["--skip", name]);
    cell.only.iter().copied().chain(skipped).map(str::to_owned).collect()
}

/// Each cell in a machine of its own, all at the same time.
fn test_at_once(places: &Places, cells: &[(&Cell, Payload)]) -> Outcome<Vec<Count>> {
    if let [(cell, payload)] = cells {
        return Ok(vec![test_cell(places, cell, payload)?]);
    }
    std::thread::scope(|scope| {
        let mut machines = Vec::new();
        for (cell, payload) in cells {
            machines.push(scope.spawn(|| test_cell(places, cell, payload)));
        }
        let ended = machines
            .into_iter()
            .map(|machine| machine.join().map_err(|_| "a machine's thread panicked".to_owned())?);
        ended.collect()
    })
}

/// So many machines of one cell may be lost to the emulator.
const MOST_LOST: u32 = 3;

fn test_cell(places: &Places, cell: &Cell, payload: &Payload) -> Outcome<Count> {
    let logs = places.logs(cell.name);
    let _alone = lock(&logs)?;
    let mut report = Report::new(cell, &logs)?;
    for job in &payload.jobs {
        report.open_job_log(&job.name)?;
    }
    let mut fate =
        boot(places, cell, &Load::new(payload, &logs), |event: &Event| report.take(event))?;
    for _ in 0..MOST_LOST {
        if !report.is_emulators_fault(&fate) {
            break;
        }
        let rest = only(payload, &report.begin_again());
        fate = boot(places, cell, &Load::new(&rest, &logs), |event: &Event| report.take(event))?;
    }
    let missed = report.begin_measuring_again(&fate);
    if !missed.is_empty() {
        let rest = only(payload, &missed);
        fate = boot(places, cell, &Load::new(&rest, &logs), |event: &Event| report.take(event))?;
    }
    Ok(report.finish(&fate))
}

/// The same jobs with these tests and no others.
fn only(payload: &Payload, tests: &[String]) -> Payload {
    let mut payload = payload.clone();
    for job in &mut payload.jobs {
        job.arguments = tests.iter().cloned().chain(["--exact".to_owned()]).collect();
    }
    payload
}

/// `vmrun run`: one command in each of the cells; the first exit code that is not 0.
///
/// # Errors
/// When the harness itself fails.
pub fn run(options: &Options) -> Outcome<i32> {
    let places = Places::from_environment()?;
    let (program, arguments) = options.command.split_first().ok_or("no command after --")?;
    let job = Job {
        kind: Kind::Command,
        name: "run".to_owned(),
        timeout_seconds: options.seconds("timeout", COMMAND_TIMEOUT)?,
        program: program.clone(),
        arguments: arguments.to_vec(),
    };
    let mut payload = shared_payload(&places, options)?;
    payload.jobs.push(job);
    for copy in options.values("copy") {
        let (source, destination) =
            copy.split_once(':').ok_or_else(|| format!("--copy takes SRC:DST, not {copy:?}"))?;
        payload.copies.push((source.into(), destination.to_owned()));
    }
    let mut code = 0;
    for cell in cells::select(options.value("cell").unwrap_or("k61"))? {
        let own = run_in_cell(&places, cell, &payload)?;
        code = if code == 0 { own } else { code };
    }
    Ok(code)
}

fn run_in_cell(places: &Places, cell: &Cell, payload: &Payload) -> Outcome<i32> {
    let logs = places.logs(&format!("run/{}", cell.name));
    let _alone = lock(&logs)?;
    let mut report = Report::new(cell, &logs)?;
    let mut code = None;
    let mut dmesg = Vec::new();
    let fate = boot(places, cell, &Load::new(payload, &logs), |event| {
        // The command's own output and nothing else belongs on the standard output.
        match event {
            Event::Output(line) => pass_on(&[line.as_slice(), b"\n"].concat()),
            Event::Partial(piece) => pass_on(piece),
            Event::Note(note) => eprintln!("vm: {note}"),
            Event::End(end) => code = Some(end.code),
            Event::Dmesg(line) => dmesg.extend_from_slice(&[line.as_slice(), b"\n"].concat()),
            _ => {}
        }
    })?;
    fs::write(logs.join("dmesg.log"), dmesg).map_err(failed("write the kernel log"))?;
    match (fate, code) {
        (Fate::Done(_), Some(code)) => Ok(code),
        (Fate::NoBoot(why) | Fate::Lost(why), _) => {
            let _counted = report.finish(&Fate::Lost(why.clone()));
            Err(format!("cell {}: {why}", cell.name))
        }
        (Fate::Done(_), None) => Err(format!("cell {}: the command left no exit code", cell.name)),
    }
}

fn pass_on(bytes: &[u8]) {
    let mut output = std::io::stdout().lock();
    let _closed = output.write_all(bytes).and_then(|()| output.flush());
}

/// The freshly built `provost` and the checkout's directories that tests and the demo use.
fn shared_payload(places: &Places, options: &Options) -> Outcome<Payload> {
    let mut payload = Payload::default();
    payload.executables.push((options.required("provost")?.into(), "provost".to_owned()));
    for name in ["config", "systemd", "scripts"] {
        let source = places.checkout.join(name);
        if source.is_dir() {
            payload.shared.push((source, format!("share/{name}")));
        }
    }
    Ok(payload)
}

/// `vmrun import-kernel TREE OUT`: takes what the guests need out of unpacked packages.
///
/// # Errors
/// When the tree holds no usable kernel.
pub fn import_kernel(options: &Options) -> Outcome<i32> {
    let [tree, out] = options.words.as_slice() else {
        return Err("import-kernel takes the unpacked tree and the new directory".into());
    };
    let (tree, out) = (Path::new(tree), Path::new(out));
    let image = find_image(tree)?;
    let image = fs::read(&image).map_err(failed(format!("read {}", image.display())))?;
    fs::write(out.join("vmlinux"), kernel::elf_image(&image)?)
        .map_err(failed("write the kernel"))?;
    let modules = kernel_modules::Tree::scan(tree)?.load_order(kernel_modules::WANTED)?;
    fs::create_dir_all(out.join("modules")).map_err(failed("make the module directory"))?;
    for (number, (name, content)) in modules.iter().enumerate() {
        fs::write(out.join(format!("modules/{number:02}-{name}.ko")), content)
            .map_err(failed("write a module"))?;
    }
    Ok(0)
}

/// `boot/vmlinuz-RELEASE`, or `vmlinuz` beside the modules.
fn find_image(tree: &Path) -> Outcome<PathBuf> {
    let mut left = vec![tree.to_path_buf()];
    while let Some(directory) = left.pop() {
        for entry in fs::read_dir(&directory).map_err(failed("list the kernel tree"))?.flatten() {
            let is_image = entry.file_name().to_string_lossy().starts_with("vmlinuz");
            if is_image && entry.file_type().is_ok_and(|kind| kind.is_file()) {
                return Ok(entry.path());
            }
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                left.push(entry.path());
            }
        }
    }
    Err("the kernel packages hold no vmlinuz".into())
}

/// Changes when an imported kernel must be imported anew.
#[must_use]
pub fn kernel_stamp() -> String {
    format!("1 {}", kernel_modules::WANTED.join(" "))
}
