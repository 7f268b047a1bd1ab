//! `provost config show` and `provost config schema`: what is configured, where each value comes from, and what may be.

use super::check::Form;
use super::{EXIT_BAD_CONFIG, EXIT_OK, Printout};
use crate::config::{
    Capacity, Colour, ConfigIssue, Loaded, Sources, canonical_toml, entries, load, render,
    schema_json,
};
use serde_json::{Value, json};

/// What `show` shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// Every key of the checked policy in canonical form, defaults included.
    Policy,
    /// What the files say, with the file and line of each value.
    Merged,
}

/// Shows the configuration. One that cannot be used is not shown: its problems are told, with exit code 78.
#[must_use]
pub fn show(sources: &Sources, host: &Capacity<'_>, what: What, form: Form) -> Printout {
    match load(sources, host) {
        Ok(loaded) => shown(&loaded, what, form),
        Err(issues) => refused(&issues, form),
    }
}

/// The JSON schema of the configuration.
#[must_use]
pub fn schema() -> Printout {
    Printout { stdout: schema_json(), stderr: String::new(), exit: EXIT_OK }
}

fn shown(loaded: &Loaded, what: What, form: Form) -> Printout {
    let (stdout, colour) = match (form, what) {
        (Form::Text(colour), What::Policy) => (canonical_toml(&loaded.policy), Some(colour)),
        (Form::Text(colour), What::Merged) => (loaded.merged.to_toml(), Some(colour)),
        (Form::Json, _) => (json_document(loaded, what), None),
    };
    Printout {
        stdout,
        stderr: colour.map_or_else(String::new, |colour| render(&loaded.warnings, colour)),
        exit: EXIT_OK,
    }
}

fn json_document(loaded: &Loaded, what: What) -> String {
    let warnings: Vec<Value> = loaded.warnings.iter().map(ConfigIssue::json).collect();
    let files: Vec<&str> = loaded.merged.files().map(|file| file.name.as_str()).collect();
    let values: Value = match what {
        What::Merged => loaded.merged.to_json(),
        What::Policy => entries(&loaded.policy)
            .into_iter()
            .map(|entry| {
                json!({ "component": entry.component, "key": entry.key, "value": entry.value })
            })
            .collect(),
    };
    let document = json!({
        "schema": "provost/config/v1", "files": files, "values": values, "problems": warnings,
    });
    format!("{document:#}\n")
}

fn refused(issues: &[ConfigIssue], form: Form) -> Printout {
    let problems: Vec<Value> = issues.iter().map(ConfigIssue::json).collect();
    let (stdout, colour) = match form {
        Form::Text(colour) => (String::new(), colour),
        Form::Json => {
            let document = json!({ "schema": "provost/config/v1", "problems": problems });
            (format!("{document:#}\n"), Colour::Never)
        }
    };
    Printout { stdout, stderr: render(issues, colour), exit: EXIT_BAD_CONFIG }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::{Bytes, CpuSet};

    fn run(text: &str, what: What, form: Form) -> Printout {
        let host = Capacity {
            online: CpuSet::of(0..4),
            memory: Bytes::mebi(8192),
            page: Bytes(4096),
            resolve_device: &|_| Err("no disks here".to_owned()),
            check_program: &|_| Ok(()),
        };
        show(&Sources::text("mine.toml", text), &host, what, form)
    }

    const TEXT: &str = "# mine\nmode = \"enforce\"\n[component.web]\nmatch = { unit = \"nginx.service\" }\nmemory.ceiling = \"25%\"\n";

    #[test]
    fn shows_the_policy_and_the_origins() {
        let text = Form::Text(Colour::Never);
        insta::assert_snapshot!("config-policy", run(TEXT, What::Policy, text).stdout);
        insta::assert_snapshot!("config-merged", run(TEXT, What::Merged, text).stdout);
        insta::assert_snapshot!("config-json", run(TEXT, What::Merged, Form::Json).stdout);
    }

    #[test]
    fn a_configuration_that_cannot_be_used_is_not_shown() {
        for form in [Form::Text(Colour::Never), Form::Json] {
            let printout = run("mode = 1\n", What::Policy, form);
            assert_eq!(printout.exit, 78);
            assert!(printout.stderr.contains("wrong-type"));
            assert!(!printout.stdout.contains("balanced"));
        }
    }

    #[test]
    fn the_schema_is_json() {
        let printout = schema();
        let parsed: Value = serde_json::from_str(&printout.stdout).unwrap();
        assert_eq!(parsed["title"], "provost configuration");
    }
}
