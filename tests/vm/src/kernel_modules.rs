//! Picks the modules the guests need out of a kernel package, in the order they must be loaded.

use crate::{Outcome, failed, kernel};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// What tests need: disks, the file system on them, a device mapper, a scheduler with weights.
/// A module that the kernel has built in has no file and is passed over.
pub const WANTED: &[&str] = &["virtio_pci", "virtio_blk", "ext4", "dm_mod", "bfq", "loop"];

/// Module files of a kernel tree by name, dashes written as underscores.
#[derive(Debug, Default)]
pub struct Tree {
    files: BTreeMap<String, PathBuf>,
}

impl Tree {
    /// Looks for modules everywhere below `root`.
    ///
    /// # Errors
    /// When a directory cannot be read.
    pub fn scan(root: &Path) -> Outcome<Self> {
        let mut tree = Self::default();
        let mut left = vec![root.to_path_buf()];
        while let Some(directory) = left.pop() {
            let list = fs::read_dir(&directory);
            for entry in list.map_err(failed(format!("list {}", directory.display())))? {
                let entry = entry.map_err(failed(format!("list {}", directory.display())))?;
                let kind = entry.file_type().map_err(failed("look at a directory entry"))?;
                if kind.is_dir() {
                    left.push(entry.path());
                } else if let Some(name) = module_name(&entry.file_name().to_string_lossy()) {
                    tree.files.insert(name, entry.path());
                }
            }
        }
        Ok(tree)
    }

    /// The content of `wanted` and of all they depend on, dependencies first.
    ///
    /// # Errors
    /// When a module file cannot be read.
    pub fn load_order(&self, wanted: &[&str]) -> Outcome<Vec<(String, Vec<u8>)>> {
        let mut ordered = Vec::new();
        for name in wanted {
            self.add(name, &mut ordered)?;
        }
        Ok(ordered)
    }

    fn add(&self, name: &str, ordered: &mut Vec<(String, Vec<u8>)>) -> Outcome<()> {
        let known = ordered.iter().any(|(done, _)| done == name);
        let Some(path) = self.files.get(name).filter(|_| !known) else {
            return Ok(());
        };
        let raw = fs::read(path).map_err(failed(format!("read {}", path.display())))?;
        let content = if path.extension().is_some_and(|suffix| suffix == "xz") {
            kernel::decompress("xz", &raw)?
        } else {
            raw
        };
        for dependency in depends(&content) {
            self.add(&dependency, ordered)?;
        }
        ordered.push((name.to_owned(), content));
        Ok(())
    }
}

/// `virtio-blk.ko.xz` is the module `virtio_blk`.
fn module_name(file: &str) -> Option<String> {
    let stem = file.strip_suffix(".ko").or_else(|| file.strip_suffix(".ko.xz"))?;
    Some(stem.replace('-', "_"))
}

/// The `depends=` entry of the module information section.
fn depends(module: &[u8]) -> Vec<String> {
    const KEY: &[u8] = b"depends=";
    let entry = module.split(|byte| *byte == 0).find_map(|entry| entry.strip_prefix(KEY));
    let list = String::from_utf8_lossy(entry.unwrap_or_default()).replace('-', "_");
    list.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_dependencies() {
        assert_eq!(module_name("dm-mod.ko.xz").as_deref(), Some("dm_mod"));
        assert_eq!(module_name("ext4.ko").as_deref(), Some("ext4"));
        assert_eq!(module_name("modules.order"), None);
        assert_eq!(
            depends(b"\x7fELF\0license=GPL\0depends=mbcache,crc-x\0a=b\0"),
            ["mbcache", "crc_x"]
        );
        assert!(depends(b"license=GPL\0depends=\0").is_empty());
    }

    #[test]
    fn dependencies_load_first_and_builtin_ones_are_passed_over() {
        let root = std::env::temp_dir().join(format!("provost-vm-modules-{}", std::process::id()));
        fs::create_dir_all(root.join("deep")).unwrap();
        fs::write(root.join("deep/top.ko"), b"x\0depends=mid,builtin\0").unwrap();
        fs::write(root.join("mid.ko"), b"x\0depends=low\0").unwrap();
        fs::write(root.join("low.ko"), b"x\0depends=\0").unwrap();
        let order = Tree::scan(&root).unwrap().load_order(&["top", "low", "absent"]).unwrap();
        fs::remove_dir_all(&root).unwrap();
        let names: Vec<&str> = order.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["low", "mid", "top"]);
    }
}
