//! Laws: no bytes panic, what has the right shape is never refused by serde, and the canonical form is a fixed point.

use super::load_text;
use crate::config::{Code, Colour, ConfigIssue, Loaded, MAX_ISSUES, canonical_toml, diff, render};
use proptest::prelude::*;

/// Whatever was found can be drawn, counted and told to a program.
fn tell(result: &Result<Loaded, Vec<ConfigIssue>>) {
    let issues = match result {
        Ok(loaded) => &loaded.warnings,
        Err(issues) => issues,
    };
    assert!(issues.len() <= MAX_ISSUES + 1);
    let drawn = render(issues, Colour::Never);
    assert_eq!(drawn.is_empty(), issues.is_empty());
    for issue in issues {
        assert_ne!(issue.code, Code::Defect, "{}", issue.line());
        assert!(!issue.json().to_string().is_empty());
    }
}

/// Keys of the schema, near misses and nonsense.
fn key() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => prop::sample::select(vec![
            "mode", "own", "http", "listen", "alerts", "journal", "webhook", "url", "strategy", "division", "interval", "on-stop", "override-for", "backend", "protect", "reserve",
            "component", "web", "db", "priority", "share", "match", "catch", "cpu", "memory", "io", "pids",
            "on-exit", "auto-scale", "yields", "last-resort", "hook", "command", "timeout", "from", "unit", "cgroup", "container", "exe", "cmdline", "user", "group",
            "pidfile", "parent", "class", "guarantee", "ceiling", "period", "burst", "affinity", "partition", "realtime", "threads", "high", "swap",
            "oom", "hard", "min", "max", "cooldown", "instances", "up", "down", "drain", "weight", "limits", "device", "read", "write", "read-iops", "write-iops",
            "thresholds", "schedule", "calendar", "duration", "writes", "rate", "history", "budget", "forecast", "steer", "warning", "critical", "emergency",
        ]).prop_map(str::to_owned),
        1 => "[a-z-]{1,8}",
    ]
}

/// Values that keys take, near misses and nonsense.
fn scalar() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => prop::sample::select(vec![
            "\"observe\"", "\"critical\"", "\"1s\"", "\"512M\"", "\"1.5\"", "\"25%\"", "\"max\"", "\"0-3\"",
            "\"/dev/sda\"", "\"nginx.service\"", "\"*\"", "\"restore\"", "\"group\"", "\"shared\"", "\"all\"",
            "1", "0", "-1", "10", "99999999999999999999", "1.0", "nan", "-inf", "true", "[]", "{}",
            "1979-05-27", "\"\"", "'\\'", "\"é\"",
        ]).prop_map(str::to_owned),
        1 => any::<i64>().prop_map(|number| number.to_string()),
        1 => any::<f64>().prop_map(|number| format!("{number:?}").to_lowercase()),
        1 => "[^'\\x00-\\x1f\\x7f]{0,12}".prop_map(|text| format!("'{text}'")),
    ]
}

fn value() -> impl Strategy<Value = String> {
    scalar().prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4)
                .prop_map(|items| format!("[{}]", items.join(", "))),
            prop::collection::vec((key(), inner), 0..4).prop_map(|pairs| {
                let pairs: Vec<String> =
                    pairs.into_iter().map(|(key, value)| format!("{key} = {value}")).collect();
                format!("{{ {} }}", pairs.join(", "))
            }),
        ]
    })
}

fn document() -> impl Strategy<Value = String> {
    let path = prop::collection::vec(key(), 1..4).prop_map(|keys| keys.join("."));
    prop::collection::vec((prop::bool::weighted(0.3), path, value()), 0..12).prop_map(|lines| {
        lines
            .into_iter()
            .map(|(header, path, value)| {
                if header {
                    format!("[component.web.{path}]\n")
                } else {
                    format!("{path} = {value}\n")
                }
            })
            .collect()
    })
}

pub(super) fn valid() -> impl Strategy<Value = String> {
    let component = (
        1u64..=10,
        1u64..=100,
        0u64..=100,
        16u64..=4096,
        1u64..=1000,
        prop::option::of(8u64..=4_194_304),
    );
    prop::collection::vec(component, 0..8).prop_map(|components| {
        let mut text = "[reserve]\ncpu = \"0\"\nmemory = \"0\"\n".to_owned();
        for (number, (priority, share, cpu, memory, period, pids)) in
            components.into_iter().enumerate()
        {
            text.push_str(&format!(
                "[component.c{number}]\npriority = {priority}\nshare = {}.{}\nmatch = {{ unit = \"c{number}.service\" }}\n",
                share / 10,
                share % 10
            ));
            text.push_str(&format!(
                "cpu = {{ guarantee = \"{}m\", ceiling = \"{cpu}.5%\", period = \"{period}ms\" }}\n",
                cpu * 5
            ));
            text.push_str(&format!("memory = {{ guarantee = \"{}M\", ceiling = \"{memory}M\" }}\n", memory / 8));
            if let Some(pids) = pids {
                text.push_str(&format!("pids = {{ ceiling = {pids} }}\n"));
            }
        }
        text.replace("100.5%", "100%")
    })
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        tell(&load_text("x.toml", &String::from_utf8_lossy(&bytes)));
    }

    #[test]
    fn no_text_panics(text in "(?s)[\\[\\]{}=.,\"'\\\\#a-z0-9 \\n\\t\\r\u{e9}\u{2028}\u{1f600}]{0,200}") {
        tell(&load_text("x.toml", &text));
    }

    #[test]
    fn no_document_of_known_words_panics_or_escapes_the_shape(text in document()) {
        tell(&load_text("x.toml", &text));
    }

    #[test]
    fn a_cut_file_never_panics(end in 0usize..2000) {
        let text = include_str!("../../../tests/fixtures/config/valid/everything.toml");
        let end = text.floor_char_boundary(end);
        tell(&load_text("x.toml", text.get(..end).unwrap()));
    }

    #[test]
    fn the_canonical_form_is_a_fixed_point(text in valid()) {
        let loaded = load_text("x.toml", &text);
        tell(&loaded);
        if let Ok(loaded) = loaded {
            let canonical = canonical_toml(&loaded.policy);
            let again = match load_text("canonical.toml", &canonical) {
                Ok(again) => again,
                Err(issues) => panic!("{canonical}\n{}", render(&issues, Colour::Never)),
            };
            prop_assert_eq!(canonical_toml(&again.policy), canonical);
            prop_assert!(diff(&loaded.policy, &again.policy).is_empty());
        }
    }
}

#[test]
fn two_syntax_errors_on_one_line_do_not_excuse_each_other() {
    for text in [
        "[component.web]\nmatch = { unit = \"nginx.service\" |\nmemory = { ceiling = \"1G\" }\n",
        "mode = \"observe\" | \"enforce\" |\n",
        "mode = = \"observe\" |",
    ] {
        let issues = load_text("x.toml", text).unwrap_err();
        assert!(issues.iter().any(|issue| issue.code == Code::Syntax), "{text}");
    }
}

#[test]
fn depth_and_length_are_bounded() {
    for text in [
        "a".repeat(1 << 20),
        "[".repeat(100_000),
        format!("a = {}", "[".repeat(100_000)),
        format!("a = {}1{}", "[".repeat(1000), "]".repeat(1000)),
        format!("{}x = 1", "a.".repeat(100_000)),
        format!("a = {}", "{ a = ".repeat(100_000)),
        format!("component.web.match.cmdline = '{}'", "(".repeat(100_000)),
        "component.web.match.cmdline = 'a{1000}{1000}{1000}'".to_owned(),
        format!("component.web.match.unit = '{}'", "{a,".repeat(1300)),
        format!("component.web.match.unit = '{}'", "*".repeat(4000)),
        format!("mode = '{}'", "x".repeat(1 << 19)),
    ] {
        tell(&load_text("x.toml", &text));
    }
}

/// Files as large as may be or nearly so, full of the same mistake: work must grow with the file, not with its square.
#[test]
fn no_file_takes_long() {
    let fill = |line: &str| line.repeat((1 << 20) / line.len());
    let numbered = |line: &str, count: usize| -> String {
        (0..count).map(|number| line.replace('#', &number.to_string())).collect()
    };
    for text in [
        fill("a = \n"),
        fill("[x\n"),
        fill("= "),
        fill("\""),
        numbered("k# = 1\n", 30_000),
        format!("{}mode =", numbered("k# = 1\n", 30_000)),
        format!("component.web.match.unit = [{}]", fill("\"\",")),
        numbered("component.c#.match.unit = ''\n", 8_000),
        numbered("component.c#.match.unit = ['a.service', '*', 'b']\n", 6_000),
        numbered("[[component.w.match]]\nunit = 'w#.service'\n", 6_000),
    ] {
        tell(&load_text("x.toml", &text));
    }
}

#[test]
fn more_patterns_than_are_kept_are_one_problem() {
    let rules: Vec<String> = (0..20)
        .map(|list| {
            let units: Vec<String> =
                (0..250).map(|unit| format!("'u{list}-{unit}.service'")).collect();
            format!("component.c{list}.match.unit = [{}]\n", units.join(","))
        })
        .collect();
    let issues = load_text("x.toml", &rules.concat()).unwrap_err();
    assert_eq!(issues.len(), 1);
    assert_eq!(issues[0].code, Code::TooLarge);
}
