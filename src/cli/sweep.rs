//! `provost sweep`: looks below a folder and removes what a rule says, with the rights that it has. For `provost storage clean` and for the daemon,
//! which start it as the configured user; nobody else needs it.

use super::Printout;
use super::args::SweepArgs;
use super::fail::Failure;
use crate::config::Glob;
use crate::cycle::doomed;
use crate::kernel::clock;
use crate::kernel::files::{Folder, Found, Listing};
use crate::kernel::process::is_root;
use crate::model::{Moment, Retention, Stored, Swept};
use std::path::Path;

/// So many of those that go are named, each with so many characters at most: a hook's output is bounded.
const NAMED: usize = 8;
const LONGEST: usize = 160;

pub(super) fn sweep(args: &SweepArgs) -> Result<Printout, Failure> {
    if is_root() {
        return Err(Failure::new(2, "this is never done with root's rights".to_owned()));
    }
    let rule = Retention {
        older_than: args.older_than,
        keep_size: args.keep_size,
        keep_count: args.keep_count,
    };
    let files = args.files.as_deref().map(Glob::new).transpose();
    let files = files.map_err(|error| Failure::new(2, error.to_string()))?;
    let folder = Folder::open(&args.path).map_err(|errno| {
        Failure::new(1, format!("cannot open {}: {}", args.path.display(), errno.desc()))
    })?;
    let listing = folder
        .files(|name| files.as_ref().is_none_or(|files| files.is_match(&name.to_string_lossy())));
    let swept = swept(&folder, listing, &rule, args.dry_run);
    let text = serde_json::to_string(&swept).map_err(|error| Failure::new(1, error.to_string()))?;
    Ok(Printout::text(text + "\n"))
}

fn swept(folder: &Folder, listing: Listing, rule: &Retention, dry_run: bool) -> Swept {
    let stored: Vec<Stored> = listing.files.iter().map(|file| file.stored).collect();
    let now = Moment(clock::wall_secs());
    let mut swept = Swept { left: folder.left(), ..Swept::default() };
    stored.iter().for_each(|file| swept.found(file, now));
    for (path, errno) in &listing.unread {
        swept.fails(path, errno.desc());
    }
    if listing.is_cut {
        swept.fails(Path::new("."), "more files or folders than are looked at");
    }
    let gone = doomed(rule, &stored, now);
    for file in gone.into_iter().filter_map(|place| listing.files.get(place)) {
        match if dry_run { Ok(()) } else { folder.remove(file) } {
            Ok(()) => swept.goes(file),
            Err(why) => swept.fails(&file.path, &why.to_string()),
        }
    }
    swept
}

impl Swept {
    fn goes(&mut self, file: &Found) {
        self.removed += 1;
        self.freed = self.freed.plus(file.stored.size);
        if self.first.len() < NAMED {
            self.first.push(shown(&file.path));
        }
    }

    fn fails(&mut self, path: &Path, why: &str) {
        self.failed += 1;
        if self.failure.is_none() {
            self.failure = Some(format!("{}: {why}", shown(path)));
        }
    }
}

/// The beginning of a path, in one line.
fn shown(path: &Path) -> String {
    let text = path.to_string_lossy();
    text.chars().map(|one| if one.is_control() { '?' } else { one }).take(LONGEST).collect()
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "tests make what they look at")]
mod tests {
    use super::*;
    use std::path::PathBuf;
    use std::time::{Duration, SystemTime};

    /// A folder of logs of one to five days ago.
    fn folder(name: &str) -> PathBuf {
        let folder =
            std::env::temp_dir().join(format!("provost-sweep-{name}-{}", std::process::id()));
        let _old = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(folder.join("old")).unwrap();
        for day in 1..=5_u64 {
            let path = folder.join(if day > 3 { "old" } else { "." }).join(format!("{day}.log"));
            std::fs::write(&path, "x".repeat(10_000)).unwrap();
            let changed = SystemTime::now() - Duration::from_secs(day * 86_400);
            std::fs::File::options()
                .write(true)
                .open(&path)
                .unwrap()
                .set_modified(changed)
                .unwrap();
        }
        folder
    }

    fn run(path: &Path, rule: &Retention, dry_run: bool) -> Swept {
        let folder = Folder::open(path).unwrap();
        let listing = folder.files(|_| true);
        swept(&folder, listing, rule, dry_run)
    }

    #[test]
    fn the_oldest_go_and_a_dry_run_says_the_same_before() {
        let path = folder("oldest");
        let rule = Retention { keep_count: Some(2), ..Retention::default() };
        let said = run(&path, &rule, true);
        assert_eq!((said.files, said.removed, said.failed), (5, 3, 0));
        assert!(said.week == said.size && said.left.is_some(), "{said:?}");
        assert_eq!(
            said.first,
            ["old/5.log", "old/4.log", "./3.log"].map(|path| path.replace("./", ""))
        );
        assert!(path.join("old/5.log").exists(), "nothing was done");
        let done = run(&path, &rule, false);
        // What is left for others changes whenever somebody writes.
        assert_eq!(Swept { left: said.left, ..done }, said);
        assert!(!path.join("3.log").exists() && path.join("2.log").exists());
        assert_eq!(run(&path, &rule, false).removed, 0);
        std::fs::remove_dir_all(path).unwrap();
    }

    #[test]
    fn what_it_says_fits_into_what_is_read_of_a_hook() {
        let path = folder("long");
        for number in 0..20 {
            std::fs::write(path.join(format!("{number}{}", "ä".repeat(110))), "x").unwrap();
        }
        let rule = Retention { keep_count: Some(1), ..Retention::default() };
        let said = serde_json::to_string(&run(&path, &rule, true)).unwrap();
        assert!(said.len() < 4096, "{}", said.len());
        std::fs::remove_dir_all(path).unwrap();
    }
}
