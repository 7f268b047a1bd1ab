//! Folders that are kept small, by the service as it is shipped: with the rights of the folder's user and no others.

use crate::common::run;
use crate::shipped::{Installed, provost, systemctl};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, symlink};
use std::path::{Path, PathBuf};

const CONFIG: &str = "\
    [storage.mine]\npath = \"/srv/test/mine\"\nuser = \"alice\"\nkeep-count = 2\n\
    [storage.roots]\npath = \"/srv/test/roots\"\nuser = \"alice\"\nkeep-count = 1\n";

/// Two folders of four files, of alice and of root; a link in the first leads into the second.
struct Tree(PathBuf);

impl Tree {
    fn new() -> Self {
        let tree = Self(PathBuf::from("/srv/test"));
        let alice: u32 = run("id", &["-u", "alice"]).ok().trim().parse().unwrap();
        for folder in ["mine", "roots"] {
            std::fs::create_dir_all(tree.0.join(folder)).unwrap();
            (1..=4).for_each(|number| tree.file(folder, number));
        }
        symlink("../roots", tree.0.join("mine/link")).unwrap();
        chown(tree.0.join("mine"), Some(alice), None).unwrap();
        tree
    }

    fn file(&self, folder: &str, number: u64) {
        let path = self.0.join(folder).join(number.to_string());
        std::fs::write(&path, "x".repeat(5000)).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        run("touch", &["-d", &format!("{number} hours ago"), path.to_str().unwrap()]).ok();
    }

    fn names(&self, folder: &str) -> Vec<String> {
        let entries = std::fs::read_dir(self.0.join(folder)).unwrap().map(Result::unwrap);
        let files = entries.filter(|entry| entry.file_type().unwrap().is_file());
        let mut names: Vec<String> =
            files.map(|entry| entry.file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        let _gone = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn old_files_go_by_the_folders_user_and_no_other() {
    let tree = Tree::new();
    let _installed = Installed::new(CONFIG);
    let shown = provost(&["storage"]);
    assert!(shown.stdout.contains("2 files to go"), "{shown:?}");
    assert_eq!(tree.names("mine"), ["1", "2", "3", "4"], "that only looks");
    // It says of the folder of root's that it was refused, and a unit fails by that.
    let cleaned = systemctl(&["start", "provost-storage.service"]);
    assert_ne!(cleaned.code, 0, "{cleaned:?}");
    let journal =
        run("journalctl", &["-u", "provost-storage", "-b", "--no-pager", "-o", "cat"]).stdout;
    assert!(journal.contains("Permission denied"), "{journal}");
    assert_eq!(tree.names("mine"), ["1", "2"], "{journal}");
    assert_eq!(tree.names("roots"), ["1", "2", "3", "4"], "{journal}");
    assert_eq!(Path::new("/srv/test/mine/1").metadata().unwrap().uid(), 0);
    let again = provost(&["storage", "mine", "--clean"]);
    assert_eq!(again.code, 0, "{again:?}");
    assert!(again.stdout.contains("0 files removed"), "{again:?}");
}
