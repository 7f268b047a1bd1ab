//! Writes a `newc` cpio archive, the format of an initramfs
//! (`Documentation/driver-api/early-userspace/buffer-format.rst`).

use std::collections::BTreeSet;

const DIRECTORY: u32 = 0o040_000;
const REGULAR: u32 = 0o100_000;
const SYMLINK: u32 = 0o120_000;
const CHARACTER_DEVICE: u32 = 0o020_000;

/// An archive that grows in memory. Parent directories are made when first needed.
#[derive(Debug, Default)]
pub struct Cpio {
    bytes: Vec<u8>,
    inode: u32,
    directories: BTreeSet<String>,
}

struct Entry<'a> {
    path: &'a str,
    mode: u32,
    content: &'a [u8],
    device: (u32, u32),
}

impl Cpio {
    /// An empty archive.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A directory with its parents.
    pub fn directory(&mut self, path: &str) {
        let path = path.trim_matches('/');
        if path.is_empty() || self.directories.contains(path) {
            return;
        }
        self.parents(path);
        self.directories.insert(path.to_owned());
        self.entry(&Entry { path, mode: DIRECTORY | 0o755, content: &[], device: (0, 0) });
    }

    /// A regular file with the permission bits `mode`.
    pub fn file(&mut self, path: &str, mode: u32, content: &[u8]) {
        self.leaf(path, REGULAR | mode, content, (0, 0));
    }

    /// A symbolic link.
    pub fn symlink(&mut self, path: &str, target: &str) {
        self.leaf(path, SYMLINK | 0o777, target.as_bytes(), (0, 0));
    }

    /// A character device.
    pub fn character_device(&mut self, path: &str, major: u32, minor: u32) {
        self.leaf(path, CHARACTER_DEVICE | 0o600, &[], (major, minor));
    }

    /// The finished archive.
    #[must_use]
    pub fn finish(mut self) -> Vec<u8> {
        self.inode = 0;
        self.entry(&Entry { path: "TRAILER!!!", mode: 0, content: &[], device: (0, 0) });
        self.bytes
    }

    fn leaf(&mut self, path: &str, mode: u32, content: &[u8], device: (u32, u32)) {
        let path = path.trim_matches('/');
        self.parents(path);
        self.entry(&Entry { path, mode, content, device });
    }

    fn parents(&mut self, path: &str) {
        if let Some((parent, _)) = path.rsplit_once('/') {
            self.directory(parent);
        }
    }

    fn entry(&mut self, entry: &Entry<'_>) {
        let size = u32::try_from(entry.content.len()).unwrap_or(u32::MAX);
        let name_size = u32::try_from(entry.path.len() + 1).unwrap_or(u32::MAX);
        let links = if entry.mode & DIRECTORY == DIRECTORY { 2 } else { 1 };
        let (major, minor) = entry.device;
        self.inode += 1;
        self.bytes.extend_from_slice(b"070701");
        // ino mode uid gid nlink mtime filesize devmajor devminor rdevmajor rdevminor namesize check
        let fields =
            [self.inode, entry.mode, 0, 0, links, 0, size, 0, 0, major, minor, name_size, 0];
        for field in fields {
            self.bytes.extend_from_slice(format!("{field:08x}").as_bytes());
        }
        self.bytes.extend_from_slice(entry.path.as_bytes());
        self.bytes.push(0);
        self.pad();
        self.bytes.extend_from_slice(entry.content);
        self.pad();
    }

    fn pad(&mut self) {
        let padded = self.bytes.len().next_multiple_of(4);
        self.bytes.resize(padded, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads the archive back: (path, mode, content) of each entry.
    fn entries(archive: &[u8]) -> Vec<(String, u32, Vec<u8>)> {
        let mut found = Vec::new();
        let mut at = 0;
        loop {
            let header = std::str::from_utf8(&archive[at..at + 110]).unwrap();
            assert_eq!(&header[..6], "070701");
            let field = |n: usize| u32::from_str_radix(&header[6 + n * 8..14 + n * 8], 16).unwrap();
            let (mode, size, name_size) = (field(1), field(6) as usize, field(11) as usize);
            let name = &archive[at + 110..at + 110 + name_size - 1];
            let content = (at + 110 + name_size).next_multiple_of(4);
            let name = String::from_utf8(name.to_vec()).unwrap();
            at = (content + size).next_multiple_of(4);
            if name == "TRAILER!!!" {
                assert_eq!(at, archive.len());
                return found;
            }
            found.push((name, mode, archive[content..content + size].to_vec()));
        }
    }

    #[test]
    fn parents_come_first_and_once() {
        let mut cpio = Cpio::new();
        cpio.file("/a/b/one", 0o644, b"1");
        cpio.file("a/b/two", 0o755, b"22222");
        let found = entries(&cpio.finish());
        let names: Vec<&str> = found.iter().map(|(name, ..)| name.as_str()).collect();
        assert_eq!(names, ["a", "a/b", "a/b/one", "a/b/two"]);
        assert_eq!(found[3].1, 0o100_755);
        assert_eq!(found[3].2, b"22222");
    }

    #[test]
    fn links_and_devices() {
        let mut cpio = Cpio::new();
        cpio.symlink("/bin/sh", "busybox");
        cpio.character_device("/dev/console", 5, 1);
        let archive = cpio.finish();
        let found = entries(&archive);
        assert_eq!(found[1], ("bin/sh".into(), 0o120_777, b"busybox".to_vec()));
        assert_eq!(found[3].1, 0o020_600);
        let text = String::from_utf8_lossy(&archive);
        assert!(text.contains("0000000500000001"));
    }

    #[test]
    fn an_empty_archive_is_only_the_trailer() {
        assert!(entries(&Cpio::new().finish()).is_empty());
    }
}
