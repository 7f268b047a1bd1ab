//! What is written beside the code: documents, indexes, addresses, names that must be used or explained.

use super::code::Source;
use super::{caught, files, none};
use std::collections::BTreeSet;

/// The only hosts that a tracked file may name in an address.
const HOSTS: [&str; 16] = [
    "docs.kernel.org",
    "doc.rust-lang.org",
    "docs.rs",
    "example.com",
    "example.org",
    "github.com",
    "json-schema.org",
    "keepachangelog.com",
    "localhost",
    "man7.org",
    "semver.org",
    "systemd.io",
    "www.apache.org",
    "www.freedesktop.org",
    "www.kernel.org",
    "www.w3.org",
];

/// Folders that mean the same on every machine; any other folder above the repository belongs to the machine that builds it.
const COMMON: [&str; 15] = [
    "/",
    "/app",
    "/build",
    "/builds",
    "/data",
    "/home",
    "/mnt",
    "/opt",
    "/root",
    "/src",
    "/srv",
    "/tmp",
    "/usr",
    "/var",
    "/workspace",
];

/// Every folder above the repository, and the hidden ones of whoever builds it.
fn machine_paths() -> Vec<String> {
    let here = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let above = here.ancestors().map(|folder| folder.to_string_lossy().into_owned());
    // A guest has the home /root too; what betrays this one are its caches and tools.
    let home = option_env!("HOME").into_iter();
    let tools = home.flat_map(|home| {
        [".cache", ".cargo", ".local", ".rustup"].map(|tool| format!("{home}/{tool}"))
    });
    above.chain(tools).filter(|folder| !COMMON.contains(&folder.as_str())).collect()
}

/// Mentions of one of the folders as the start of a path.
fn mentions_of_machine(files: &[Source], folders: &[String]) -> Vec<String> {
    let mut found = Vec::new();
    for file in files {
        for (line, text) in (1..).zip(file.text.lines()) {
            for folder in folders {
                let starts = |at: usize| {
                    let before = text[..at].chars().next_back();
                    let after = text[at + folder.len()..].chars().next();
                    !before.is_some_and(|c| c.is_alphanumeric() || "_.-/~}".contains(c))
                        && after == Some('/')
                };
                if text.match_indices(folder.as_str()).any(|(at, _)| starts(at)) {
                    found.push(format!(
                        "{}:{line}: names {folder}, a folder of the machine that builds it",
                        file.path
                    ));
                }
            }
        }
    }
    found
}

/// Addresses whose host is not on the list: registries and mirrors belong into a machine's configuration.
fn foreign_hosts(files: &[Source]) -> Vec<String> {
    let mut found = Vec::new();
    for file in files {
        for (line, text) in (1..).zip(file.text.lines()) {
            for (at, separator) in text.match_indices("://") {
                let is_web = ["http", "https", "ftp", "sparse+https"]
                    .iter()
                    .any(|scheme| text[..at].ends_with(scheme));
                let rest = &text[at + separator.len()..];
                let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || ".-".contains(c)));
                let host = rest[..end.unwrap_or(rest.len())].trim_end_matches('.');
                let numeric = host.starts_with("127.");
                if is_web && !host.is_empty() && !numeric && !HOSTS.contains(&host) {
                    found.push(format!("{}:{line}: names the host {host}", file.path));
                }
            }
        }
    }
    let configured = files
        .iter()
        .filter(|file| file.path.starts_with(".cargo/"))
        .filter(|file| file.text.contains("[source") || file.text.contains("[registries"));
    found.extend(configured.map(|file| format!("{}: replaces a package source", file.path)));
    found
}

/// Relative links in Markdown that lead nowhere.
fn dead_links(files: &[Source]) -> Vec<String> {
    let known: BTreeSet<String> = files
        .iter()
        .flat_map(|file| std::path::Path::new(&file.path).ancestors())
        .map(|path| path.to_string_lossy().into_owned())
        .collect();
    let mut found = Vec::new();
    for file in files.iter().filter(|file| file.path.ends_with(".md")) {
        let folder = file.path.rsplit_once('/').map_or("", |(folder, _)| folder);
        for (at, open) in file.text.match_indices("](") {
            let rest = &file.text[at + open.len()..];
            let target = rest.split([')', '#', '\n']).next().unwrap_or_default();
            if target.is_empty() || target.contains("://") {
                continue;
            }
            let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
            for part in target.split('/') {
                match part {
                    "." | "" => {}
                    ".." => drop(parts.pop()),
                    part => parts.push(part),
                }
            }
            if !known.contains(&parts.join("/")) {
                found.push(format!("{}: the link to {target} leads nowhere", file.path));
            }
        }
    }
    found
}

/// The index in docs/adr/README.md against the folder; numbers run without gaps.
fn adr_violations(files: &[Source]) -> Vec<String> {
    let index = files.iter().find(|file| file.path == "docs/adr/README.md");
    let index = index.map_or("", |file| file.text.as_str());
    let mut records: Vec<&str> = files
        .iter()
        .filter_map(|file| file.path.strip_prefix("docs/adr/"))
        .filter(|name| *name != "README.md")
        .collect();
    records.sort_unstable();
    let mut found = Vec::new();
    for (number, name) in (1..).zip(&records) {
        if !name.starts_with(&format!("{number:04}-")) {
            found.push(format!("docs/adr/{name}: number {number:04} is missing or taken twice"));
        }
        if !index.contains(&format!("]({name})")) {
            found.push(format!("docs/adr/README.md: does not list {name}"));
        }
    }
    found
}

/// Names declared in src/publish/names.rs that no other file of the package uses but to describe them.
fn unused_metrics(files: &[Source]) -> Vec<String> {
    const NAMES: &str = "src/publish/names.rs";
    const DESCRIPTIONS: &str = "src/publish/describe.rs";
    let Some(names) = files.iter().find(|file| file.path == NAMES) else {
        return Vec::new();
    };
    let used: BTreeSet<String> = files
        .iter()
        .filter(|file| {
            file.path.starts_with("src/") && ![NAMES, DESCRIPTIONS].contains(&&*file.path)
        })
        .flat_map(Source::paths)
        .flat_map(|path| path.segments)
        .collect();
    declared(names)
        .into_iter()
        .filter(|name| !used.contains(name))
        .map(|name| format!("{NAMES}: {name} is declared and never set"))
        .collect()
}

/// Public constants, and the variants of public enums.
fn declared(file: &Source) -> BTreeSet<String> {
    let tokens = file.tokens();
    let word = |i: usize| tokens.get(i).map_or("", |token| token.text.as_str());
    let mut names = BTreeSet::new();
    for i in 0..tokens.len() {
        if word(i) != "pub" {
            continue;
        }
        if word(i + 1) == "const" && word(i + 2) != "fn" {
            names.insert(word(i + 2).to_owned());
        } else if word(i + 1) == "enum" {
            let mut j = i + 4;
            while !["}", ""].contains(&word(j)) {
                if word(j) == "#" {
                    while !["]", ""].contains(&word(j)) {
                        j += 1;
                    }
                } else if word(j) != "," {
                    names.insert(word(j).to_owned());
                    while ![",", "}", ""].contains(&word(j)) {
                        j += 1;
                    }
                    continue;
                }
                j += 1;
            }
        }
    }
    names
}

/// Keys of src/config/raw.rs that config/provost.toml neither sets nor shows in a comment.
fn undocumented_keys(files: &[Source]) -> Vec<String> {
    let text = |path: &str| files.iter().find(|file| file.path == path);
    let (Some(raw), Some(sample)) = (text("src/config/raw.rs"), text("config/provost.toml")) else {
        return Vec::new();
    };
    let shown: BTreeSet<String> = sample.text.lines().flat_map(keys_in_line).collect();
    fields(raw)
        .into_iter()
        .filter(|key| !shown.contains(key))
        .map(|key| format!("config/provost.toml: does not explain the key {key}"))
        .collect()
}

/// `# key = …`, `[a.key]`, `x = { key = … }`: every word that stands where a key may stand.
fn keys_in_line(line: &str) -> Vec<String> {
    let line = line.trim_start_matches(['#', ' ']);
    let header =
        line.starts_with('[').then(|| line.trim_matches(['[', ']']).split('.').map(str::to_owned));
    let assigned = line.match_indices('=').filter_map(|(at, _)| {
        let before = line[..at].trim_end();
        let start = before.rfind(|c: char| !(c.is_ascii_alphanumeric() || "_-.".contains(c)));
        let key = before[start.map_or(0, |start| start + 1)..].rsplit('.').next()?;
        Some(key.to_owned())
    });
    header.into_iter().flatten().chain(assigned).collect()
}

/// Field names of the structs that are read from files, as TOML spells them.
fn fields(raw: &Source) -> BTreeSet<String> {
    let mut keys = BTreeSet::new();
    let mut renamed: Option<String> = None;
    let mut read_from_files = false;
    let mut inside = false;
    for line in raw.text.lines() {
        let trimmed = line.trim();
        if trimmed.starts_with("#[cfg(test)]") {
            break;
        }
        if trimmed.starts_with("#[derive(") {
            read_from_files = trimmed.contains("Deserialize");
        } else if trimmed.contains("struct ") && trimmed.ends_with('{') {
            inside = std::mem::take(&mut read_from_files);
        } else if line.starts_with('}') {
            inside = false;
        } else if let Some((_, rest)) = trimmed.split_once("rename = \"") {
            renamed = rest.split('"').next().map(str::to_owned);
        } else if inside && !trimmed.starts_with(['/', '#']) {
            let field = trimmed.trim_start_matches("pub(crate) ");
            let field = field.trim_start_matches("pub(super) ").trim_start_matches("pub ");
            let Some((name, _)) = field.split_once(':') else {
                continue;
            };
            let is_name = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
            if is_name && !name.is_empty() {
                keys.insert(renamed.take().unwrap_or_else(|| name.replace('_', "-")));
            }
        }
    }
    keys
}

#[test]
fn no_file_names_the_machine_that_builds_it() {
    none(&mentions_of_machine(&files(), &machine_paths()));
}

#[test]
fn no_file_names_a_registry_or_mirror() {
    none(&foreign_hosts(&files()));
}

#[test]
fn links_lead_somewhere() {
    none(&dead_links(&files()));
}

#[test]
fn the_index_of_decisions_is_complete() {
    none(&adr_violations(&files()));
}

#[test]
fn every_metric_is_set_somewhere() {
    none(&unused_metrics(&files()));
}

#[test]
fn every_configuration_key_is_explained() {
    none(&undocumented_keys(&files()));
}

#[test]
fn planted_addresses_and_paths_are_caught() {
    let folders = ["/somebody/project".to_owned()];
    let path = |text: &str| mentions_of_machine(&[Source::new("a.md", text)], &folders);
    caught(&path("see\n`/somebody/project/x`"), "a.md:2");
    none(&path("see $base/somebody/project/x or /somebody/projects/x"));

    let host = |text: &str| foreign_hosts(&[Source::new("a.toml", text)]);
    let planted = ["index = \"sparse+https", "registry.invalid/index\""].join("://");
    caught(&host(&planted), "a.toml:1: names the host registry.invalid");
    none(&host("see https://docs.kernel.org/admin-guide, unix://x and http://127.0.0.1:9"));
    let cargo = Source::new(".cargo/config.toml", "[source.crates-io]");
    caught(&foreign_hosts(&[cargo]), "replaces a package source");
}

#[test]
fn planted_documents_are_caught() {
    let page =
        |text: &str| dead_links(&[Source::new("docs/a.md", text), Source::new("LICENSE", "")]);
    caught(&page("[x](b.md)"), "b.md leads nowhere");
    none(&page("[x](../LICENSE), [y](a.md#there), [z](#here), [w](https://docs.rs), [d](../docs)"));

    let records = |index: &str, names: &[&str]| {
        let mut files = vec![Source::new("docs/adr/README.md", index)];
        files.extend(names.iter().map(|name| Source::new(&format!("docs/adr/{name}"), "")));
        adr_violations(&files)
    };
    caught(&records("", &["0001-a.md"]), "does not list 0001-a.md");
    let listed = "[1](0001-a.md) [3](0003-c.md)";
    caught(&records(listed, &["0001-a.md", "0003-c.md"]), "0002 is missing");
    none(&records("[1](0001-a.md)", &["0001-a.md"]));
}

#[test]
fn planted_names_and_keys_are_caught() {
    let names = "//! x\n/// A.\npub const IDLE: &str = \"a\";\npub enum MetricName {\n    /// B.\n    #[doc(alias = \"x\")]\n    Cycles,\n    Moves(u8),\n}";
    let metrics = |user: &str| {
        unused_metrics(&[
            Source::new("src/publish/names.rs", names),
            Source::new("src/publish/prometheus.rs", user),
        ])
    };
    let unused = metrics("fn f() { g(MetricName::Cycles); }");
    assert_eq!(unused.len(), 2, "{unused:?}");
    caught(&unused, "IDLE is declared");
    caught(&unused, "Moves is declared");
    none(&metrics("fn f() { g(MetricName::Cycles, names::IDLE, MetricName::Moves(1)); }"));

    let raw = "#[derive(Debug, Deserialize)]\nstruct Raw {\n    /// The mode.\n    mode: Option<Mode>,\n    #[serde(rename = \"component\")]\n    pub(crate) components: X,\n    on_stop: Y,\n    pub ceiling: Z,\n}\nstruct Visitor {\n    seen: bool,\n}\nenum E {\n    A,\n}";
    let keys = |sample: &str| {
        undocumented_keys(&[
            Source::new("src/config/raw.rs", raw),
            Source::new("config/provost.toml", sample),
        ])
    };
    let missing = keys("# mode = \"observe\"\n[component.web]\n");
    assert_eq!(missing.len(), 2, "{missing:?}");
    caught(&missing, "on-stop");
    caught(&missing, "ceiling");
    none(&keys("#mode = 1\non-stop = 2\n[component.web]\ncpu = { share = 1, ceiling = 2 }"));
}
