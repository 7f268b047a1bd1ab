//! What an administrator writes for sizes, CPU, times, CPU lists, devices and names.

use crate::units::{Bytes, CgroupPath, ComponentName, CpuSet, DeviceId, Millicpu, Span};
use std::fmt::{Debug, Display};
use std::str::FromStr;

/// What is read prints to a text that reads as the same; sizes lose less than a hundredth; paths and their parents agree.
///
/// # Panics
/// When one of these does not hold.
pub fn quantities(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    reads_back::<Millicpu>(&text);
    reads_back::<Span>(&text);
    reads_back::<CpuSet>(&text);
    reads_back::<DeviceId>(&text);
    reads_back::<ComponentName>(&text);
    size(&text);
    path(&text);
}

fn reads_back<T: FromStr<Err: Debug + Display + PartialEq> + Display + Debug + PartialEq>(
    text: &str,
) {
    match text.parse::<T>() {
        Ok(value) => {
            let printed = value.to_string();
            assert!(printed.is_ascii(), "{printed:?}");
            assert_eq!(printed.parse(), Ok(value), "{text:?} printed as {printed:?}");
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

fn size(text: &str) {
    let Ok(size) = text.parse::<Bytes>() else {
        return;
    };
    assert_eq!(size.0.to_string().parse(), Ok(size), "{text:?}");
    let printed = size.to_string().parse::<Bytes>();
    let near = |printed: Bytes| printed <= size && size.minus(printed).0 <= size.0 / 100 + 1;
    assert!(printed.is_ok_and(near), "{text:?} printed as {size}");
}

fn path(text: &str) {
    let path = CgroupPath::new(text);
    assert_eq!(CgroupPath::new(path.as_str()), path);
    assert_eq!(CgroupPath::new(&format!("/{path}/")).is_root(), path.is_root());
    match path.parent() {
        Some(parent) => {
            assert!(parent.contains(&path), "{parent} does not contain {path}");
            // Only a path with an empty part is not made of its parent and its name.
            let plain = !path.as_str().contains("//");
            assert!(!plain || parent.child(path.name()) == path, "{path}");
        }
        None => assert!(path.is_root()),
    }
    let depth = path.as_str().matches('/').count() + 1;
    assert!(path.ancestors().take(depth + 1).count() <= depth, "{path} has no top");
    assert!(path.components().all(|part| !part.is_empty() && !part.contains('/')));
}
