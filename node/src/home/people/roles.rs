//! What the roles within a partner let its users do: one table, which docs/roles.md shows and the
//! tests walk through.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// A role of a user within its own partner. It says nothing to other partners.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, clap::ValueEnum,
)]
#[serde(rename_all = "snake_case")]
#[value(rename_all = "snake_case")]
pub enum AccountRole {
    /// Sees to the node: accounts, sessions, links. Reads no message, and puts no pact in force.
    NodeAdmin,
    /// Says who has which role and which partners are trusted, issues credentials, reads the audit
    /// record.
    SecurityOfficer,
    /// Decides with which partners channels are shared.
    ReleaseAuthority,
    /// Hands out what a user of the partner wrote, for the records.
    RecordsOfficer,
    /// Reads the audit record.
    Auditor,
    /// Talks, in all channels that the partner shares and those of its own that it joins.
    Member,
    /// Talks in the channels that a member took it into, and knows of no other.
    Guest,
    /// A program, which a member made.
    Bot,
}

/// What somebody wants to do through the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Action {
    /// Read and write in a channel that it is in.
    Talk,
    /// Find the partner's channels and those it shares, and join them.
    JoinChannels,
    /// Make a channel of the partner's own, and take others into one.
    MakeChannels,
    /// Make access tokens, incoming webhooks and bots.
    MakePrograms,
    /// Decide which partners come into a channel, as what, and into which channels of others this
    /// one goes.
    ShareChannels,
    /// See the other partners, and whether this node is linked with theirs.
    SeeMesh,
    /// See how the node is doing: links in detail, load, storage, limits that were met.
    SeeNode,
    /// Carry invitations and replies between partners, before any pact is in force.
    ManageLinks,
    /// Put a pact with another partner in force, again too, or end it for good.
    ApprovePeers,
    /// Withhold everything from a partner until the pact is put in force again.
    SuspendPeers,
    /// See the channels with their members and how far they are final, and none of their posts.
    SeeChannels,
    /// End the membership of another partner in a channel.
    RemovePartners,
    /// See all accounts with their sessions; disable and enable them; end sessions.
    ManageAccounts,
    /// Make accounts with a password, and set passwords.
    IssueCredentials,
    /// Give and take roles.
    GrantRoles,
    /// Read the audit record.
    ReadAudit,
    /// Read what another user of the partner wrote and keeps.
    ExportRecords,
}

pub const ROLES: [AccountRole; 8] = [
    AccountRole::NodeAdmin,
    AccountRole::SecurityOfficer,
    AccountRole::ReleaseAuthority,
    AccountRole::RecordsOfficer,
    AccountRole::Auditor,
    AccountRole::Member,
    AccountRole::Guest,
    AccountRole::Bot,
];

pub const ACTIONS: [Action; 17] = [
    Action::Talk,
    Action::JoinChannels,
    Action::MakeChannels,
    Action::MakePrograms,
    Action::ShareChannels,
    Action::SeeMesh,
    Action::SeeNode,
    Action::ManageLinks,
    Action::ApprovePeers,
    Action::SuspendPeers,
    Action::SeeChannels,
    Action::RemovePartners,
    Action::ManageAccounts,
    Action::IssueCredentials,
    Action::GrantRoles,
    Action::ReadAudit,
    Action::ExportRecords,
];

impl AccountRole {
    /// What the role lets its bearer do. What is not named is refused.
    pub fn allows(self, action: Action) -> bool {
        use Action as A;
        let allowed: &[Action] = match self {
            AccountRole::NodeAdmin => &[
                A::SeeMesh,
                A::SeeNode,
                A::ManageLinks,
                A::SuspendPeers,
                A::SeeChannels,
                A::ManageAccounts,
            ],
            AccountRole::SecurityOfficer => &[
                A::SeeMesh,
                A::SeeNode,
                A::ApprovePeers,
                A::SuspendPeers,
                A::SeeChannels,
                A::RemovePartners,
                A::ManageAccounts,
                A::IssueCredentials,
                A::GrantRoles,
                A::ReadAudit,
            ],
            AccountRole::ReleaseAuthority => &[
                A::SeeMesh,
                A::SeeChannels,
                A::ShareChannels,
                A::RemovePartners,
            ],
            AccountRole::RecordsOfficer => &[A::ExportRecords],
            AccountRole::Auditor => &[A::SeeMesh, A::SeeNode, A::SeeChannels, A::ReadAudit],
            AccountRole::Member => &[
                A::Talk,
                A::JoinChannels,
                A::MakeChannels,
                A::MakePrograms,
                A::SeeMesh,
            ],
            AccountRole::Guest => &[A::Talk],
            AccountRole::Bot => &[A::Talk, A::JoinChannels],
        };
        allowed.contains(&action)
    }

    /// As the API and the configuration spell it.
    pub fn name(self) -> &'static str {
        match self {
            AccountRole::NodeAdmin => "node_admin",
            AccountRole::SecurityOfficer => "security_officer",
            AccountRole::ReleaseAuthority => "release_authority",
            AccountRole::RecordsOfficer => "records_officer",
            AccountRole::Auditor => "auditor",
            AccountRole::Member => "member",
            AccountRole::Guest => "guest",
            AccountRole::Bot => "bot",
        }
    }

    pub fn parse(name: &str) -> Option<AccountRole> {
        ROLES.into_iter().find(|role| role.name() == name)
    }
}

impl Action {
    /// Whether it shows what people wrote. A node admin may do none of these, whatever other roles
    /// the account has.
    fn shows_messages(self) -> bool {
        matches!(
            self,
            Action::Talk
                | Action::JoinChannels
                | Action::MakeChannels
                | Action::MakePrograms
                | Action::ShareChannels
                | Action::ExportRecords
        )
    }

    /// As docs/roles.md and the audit record spell it.
    pub fn name(self) -> &'static str {
        match self {
            Action::Talk => "talk",
            Action::JoinChannels => "join_channels",
            Action::MakeChannels => "make_channels",
            Action::MakePrograms => "make_programs",
            Action::ShareChannels => "share_channels",
            Action::SeeMesh => "see_mesh",
            Action::SeeNode => "see_node",
            Action::ManageLinks => "manage_links",
            Action::ApprovePeers => "approve_peers",
            Action::SuspendPeers => "suspend_peers",
            Action::SeeChannels => "see_channels",
            Action::RemovePartners => "remove_partners",
            Action::ManageAccounts => "manage_accounts",
            Action::IssueCredentials => "issue_credentials",
            Action::GrantRoles => "grant_roles",
            Action::ReadAudit => "read_audit",
            Action::ExportRecords => "export_records",
        }
    }
}

/// Whether a set of roles lets its bearer do something.
pub fn may(roles: &BTreeSet<AccountRole>, action: Action) -> bool {
    if roles.contains(&AccountRole::NodeAdmin) && action.shows_messages() {
        return false;
    }
    roles.iter().any(|role| role.allows(action))
}

/// Why a set of roles cannot be one account's; none where it can. Whoever sees to the node has
/// another account to talk with.
pub fn conflict(roles: &BTreeSet<AccountRole>) -> Option<(AccountRole, AccountRole)> {
    if !roles.contains(&AccountRole::NodeAdmin) {
        return None;
    }
    let shows = |role: &&AccountRole| {
        ACTIONS
            .iter()
            .any(|action| action.shows_messages() && role.allows(*action))
    };
    roles
        .iter()
        .find(shows)
        .map(|other| (AccountRole::NodeAdmin, *other))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_admin_reads_no_message_whatever_else_the_account_is() {
        for role in ROLES {
            let both = BTreeSet::from([AccountRole::NodeAdmin, role]);
            for action in ACTIONS.into_iter().filter(|it| it.shows_messages()) {
                assert!(
                    !may(&both, action),
                    "{} with {}",
                    role.name(),
                    action.name()
                );
            }
        }
    }

    #[test]
    fn whoever_gives_roles_cannot_be_made_by_whoever_sees_to_the_node() {
        let admin = BTreeSet::from([AccountRole::NodeAdmin]);
        assert!(!may(&admin, Action::GrantRoles));
        assert!(!may(&admin, Action::IssueCredentials));
        assert!(
            conflict(&BTreeSet::from([
                AccountRole::NodeAdmin,
                AccountRole::Member
            ]))
            .is_some()
        );
        assert!(
            conflict(&BTreeSet::from([
                AccountRole::NodeAdmin,
                AccountRole::Auditor
            ]))
            .is_none()
        );
    }

    #[test]
    fn whoever_carries_the_files_does_not_approve_the_words() {
        for role in ROLES {
            let both = role.allows(Action::ManageLinks) && role.allows(Action::ApprovePeers);
            assert!(!both, "{}", role.name());
        }
    }

    #[test]
    fn no_role_lets_one_do_nothing() {
        assert!(
            ACTIONS
                .into_iter()
                .all(|action| !may(&BTreeSet::new(), action))
        );
    }

    /// The table of docs/roles.md follows from the code. `COMITY_WRITE_DOCS=1` writes it anew.
    #[test]
    fn the_page_about_roles_says_what_the_code_does() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/roles.md");
        let page = std::fs::read_to_string(path).unwrap();
        let (begin, end) = ("<!-- table of roles -->\n", "<!-- end of the table -->");
        let (before, rest) = page.split_once(begin).unwrap();
        let (_, after) = rest.split_once(end).unwrap();
        let wanted = format!("{before}{begin}{}{end}{after}", table());
        if std::env::var_os("COMITY_WRITE_DOCS").is_some() {
            std::fs::write(path, &wanted).unwrap();
        }
        assert!(page == wanted || std::env::var_os("COMITY_WRITE_DOCS").is_some());
    }

    fn table() -> String {
        let mut text = String::from("\n| |");
        for role in ROLES {
            text += &format!(" {} |", role.name());
        }
        text += "\n|---|";
        text += &"---|".repeat(ROLES.len());
        for action in ACTIONS {
            text += &format!("\n| `{}` |", action.name());
            for role in ROLES {
                text += if role.allows(action) { " yes |" } else { " |" };
            }
        }
        text + "\n\n"
    }
}
