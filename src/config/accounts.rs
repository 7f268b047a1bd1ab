//! Names of users and groups, from the account files.
//!
//! The binary is linked statically and cannot load NSS modules, so accounts of a directory service must be given by number.

use std::collections::BTreeMap;

/// Names and numbers from `/etc/passwd` and `/etc/group`.
#[derive(Debug, Clone, Default)]
pub(super) struct Accounts {
    /// User ids by name.
    pub(super) users: BTreeMap<String, u32>,
    /// Group ids by name.
    pub(super) groups: BTreeMap<String, u32>,
}

impl Accounts {
    /// Reads both files' lines `name:password:id:…`; a line that is different is passed over.
    pub(super) fn parse(passwd: &str, group: &str) -> Self {
        Self { users: ids(passwd), groups: ids(group) }
    }
}

fn ids(text: &str) -> BTreeMap<String, u32> {
    text.lines()
        .filter_map(|line| {
            let mut fields = line.split(':');
            let name = fields.next().filter(|name| !name.is_empty())?;
            let id = fields.nth(1)?.parse().ok()?;
            Some((name.to_owned(), id))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::Accounts;

    #[test]
    fn reads_names_and_passes_over_the_rest() {
        let accounts = Accounts::parse(
            "root:x:0:0:root:/root:/bin/bash\n# no account\n+::::::\nwww-data:x:33:33::/var/www:\n",
            "adm:x:4:syslog,user\n\nbroken\nhuge:x:99999999999:\n",
        );
        assert_eq!(accounts.users.len(), 2);
        assert_eq!(accounts.users.get("www-data"), Some(&33));
        assert_eq!(accounts.groups.get("adm"), Some(&4));
        assert_eq!(accounts.groups.len(), 1);
    }
}
