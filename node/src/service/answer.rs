//! Answering requests: each goes to the file of its concern.

use tokio::sync::mpsc;

use super::{channels, files, import, members, messages, peering, posts, status, users, writers};
use crate::api::{ApiError, Item, Request};
use crate::node::Node;

/// Items that may wait for a slow reader of an answer.
const ITEMS: usize = 256;

/// Where the items of an answer go.
pub enum Items<'a> {
    Direct(&'a mut (dyn FnMut(Item) + Send)),
    Queued(mpsc::Sender<Item>),
}

impl<'a> Items<'a> {
    pub fn direct(sink: &'a mut (dyn FnMut(Item) + Send)) -> Items<'a> {
        Items::Direct(sink)
    }

    pub fn queued() -> (Items<'static>, mpsc::Receiver<Item>) {
        let (items, produced) = mpsc::channel(ITEMS);
        (Items::Queued(items), produced)
    }

    /// Whether nobody reads the answer any more.
    pub fn is_unheard(&self) -> bool {
        match self {
            Items::Direct(_) => false,
            Items::Queued(items) => items.is_closed(),
        }
    }

    /// Hands over an item, waiting for a slow reader.
    pub async fn push(&mut self, item: Item) {
        match self {
            Items::Direct(sink) => sink(item),
            // A reader that went away is noticed where its answer is written.
            Items::Queued(items) => drop(items.send(item).await),
        }
    }
}

/// Answers one request.
pub async fn answer(node: &Node, request: Request, items: &mut Items<'_>) -> Result<(), ApiError> {
    match request {
        Request::Status => items.push(Item::Status(status::status(node).await?)).await,
        Request::PeerInvite {
            expires_in_s,
            addresses,
        } => {
            items
                .push(Item::Peering(
                    peering::invite(node, expires_in_s, addresses).await?,
                ))
                .await;
        }
        Request::PeerAccept { file, addresses } => {
            items
                .push(Item::Peering(
                    peering::accept(node, &file, addresses).await?,
                ))
                .await;
        }
        Request::PeerApprove { partner, words } => peering::approve(node, &partner, &words).await?,
        Request::PeerList => {
            for peer in status::peers(node).await? {
                items.push(Item::Peer(peer)).await;
            }
        }
        Request::PeerSuspend { partner } => peering::suspend(node, &partner).await?,
        Request::PeerResume { partner } => peering::resume(node, &partner).await?,
        Request::PeerRevoke { partner } => peering::revoke(node, &partner).await?,
        Request::ChannelCreate {
            name,
            history,
            quorum,
        } => {
            items
                .push(Item::Channel(
                    channels::create(node, name, history, quorum).await?,
                ))
                .await;
        }
        Request::ChannelShare {
            channel,
            partner,
            role,
        } => members::share(node, &channel, &partner, role).await?,
        Request::ChannelAccept { channel } => channels::accept(node, &channel).await?,
        Request::ChannelLeave { channel } => channels::leave(node, &channel).await?,
        Request::ChannelGrant {
            channel,
            partner,
            role,
        } => {
            items
                .push(Item::Decided(
                    members::grant(node, &channel, &partner, role).await?,
                ))
                .await;
        }
        Request::ChannelRemove { channel, partner } => {
            items
                .push(Item::Decided(
                    members::remove(node, &channel, &partner).await?,
                ))
                .await;
        }
        Request::ChannelSuspend { channel, partner } => {
            items
                .push(Item::Decided(
                    members::suspend(node, &channel, &partner).await?,
                ))
                .await;
        }
        Request::ChannelEndorse {
            channel,
            act,
            partner,
            role,
        } => {
            items
                .push(Item::Decided(
                    members::endorse(node, &channel, act, &partner, role).await?,
                ))
                .await;
        }
        Request::ChannelList => {
            for channel in channels::list(node).await? {
                items.push(Item::Channel(channel)).await;
            }
        }
        Request::ChannelShow { channel } => {
            items
                .push(Item::Channel(channels::show(node, &channel).await?))
                .await;
        }
        Request::Post {
            channel,
            user,
            message,
            reply_to,
            create_at_ms,
            precedence,
            to,
        } => {
            let post = messages::NewPost {
                user,
                message,
                reply_to,
                create_at_ms,
                precedence,
                to,
                label: None,
            };
            items
                .push(Item::Written(messages::post(node, &channel, post).await?))
                .await;
        }
        Request::Edit {
            post,
            user,
            message,
        } => {
            items
                .push(Item::Written(
                    messages::edit(node, &post, user, message).await?,
                ))
                .await;
        }
        Request::Redact { post, user } => {
            items
                .push(Item::Written(messages::redact(node, &post, user).await?))
                .await;
        }
        Request::React {
            post,
            user,
            emoji,
            remove,
            to,
        } => {
            let mark = messages::Mark { post, user, to };
            items
                .push(Item::Written(
                    messages::react(node, mark, emoji, remove).await?,
                ))
                .await;
        }
        Request::Pin {
            post,
            user,
            remove,
            to,
        } => {
            let mark = messages::Mark { post, user, to };
            items
                .push(Item::Written(messages::pin(node, mark, remove).await?))
                .await;
        }
        Request::Receipt {
            post,
            user,
            state,
            to,
        } => {
            let mark = messages::Mark { post, user, to };
            items
                .push(Item::Written(messages::receipt(node, mark, state).await?))
                .await;
        }
        Request::Read { channel, limit } => posts::read(node, &channel, limit, items).await?,
        Request::Export { channel } => posts::export(node, channel.as_deref(), items).await?,
        Request::ImportStatus { import } => {
            for progress in import::status(node, &import).await? {
                items.push(Item::ImportProgress(progress)).await;
            }
        }
        Request::Import { import, posts } => {
            items
                .push(Item::Imported(import::import(node, &import, posts).await?))
                .await;
        }
        Request::FileBegin(file) => {
            let upload = files::begin(node, file).await?;
            items.push(Item::FileUpload(upload)).await;
        }
        Request::FileChunk {
            upload,
            chunk,
            data,
        } => files::take_chunk(node, &upload, chunk, data).await?,
        Request::FileFinish { upload } => {
            items
                .push(Item::Written(files::finish(node, &upload).await?))
                .await;
        }
        Request::FileList { channel } => posts::files(node, &channel, items).await?,
        Request::FileFetch { file, wait_s } => files::fetch(node, &file, wait_s, items).await?,
        Request::FileRead { file, chunk } => {
            let data = files::read_chunk(node, &file, chunk).await?;
            items.push(Item::FileData(data)).await;
        }
        Request::WriterList => {
            for writer in writers::list(node).await? {
                items.push(Item::Writer(writer)).await;
            }
        }
        Request::WriterRetire { writer } => {
            for acted in writers::retire(node, &writer).await? {
                items.push(Item::WriterActed(acted)).await;
            }
        }
        Request::SeatMove { writer, channel } => {
            for acted in writers::move_seat(node, &writer, channel.as_deref()).await? {
                items.push(Item::WriterActed(acted)).await;
            }
        }
        Request::SeatsLost { channel } => {
            for lost in writers::lost_seats(node, channel.as_deref()).await? {
                items.push(Item::LostSeat(lost)).await;
            }
        }
        Request::SeatTransfer { channel, transfer } => {
            let acted = writers::transfer_seat(node, &channel, &transfer).await?;
            items.push(Item::WriterActed(acted)).await;
        }
        Request::UserAdd {
            name,
            password,
            email,
            roles,
        } => {
            let user = users::add(node, name, password, email, roles).await?;
            items.push(Item::User(user)).await;
        }
        Request::UserRoles { name, roles } => {
            let user = users::set_roles(node, &name, roles)?;
            items.push(Item::User(user)).await;
        }
        Request::UserLink {
            name,
            source,
            subject,
        } => {
            let user = users::link(node, &name, source, subject)?;
            items.push(Item::User(user)).await;
        }
        Request::ProvisioningToken { lasts_s } => {
            let token = users::provisioning_token(node, lasts_s)?;
            items.push(Item::ProvisioningToken(token)).await;
        }
        Request::UserList => {
            for user in users::list(node)? {
                items.push(Item::User(user)).await;
            }
        }
        Request::UserPassword { name, password } => {
            let user = users::set_password(node, &name, &password).await?;
            items.push(Item::User(user)).await;
        }
        Request::UserActive { name, active } => {
            items
                .push(Item::User(users::set_active(node, &name, active)?))
                .await;
        }
        Request::UserSessions { name } => {
            for session in users::sessions(node, &name)? {
                items.push(Item::UserSession(session)).await;
            }
        }
        Request::UserLogout { name, session } => {
            let user = users::log_out(node, &name, session.as_deref())?;
            items.push(Item::User(user)).await;
        }
        Request::Digests => {
            items
                .push(Item::Digests(status::digests(node).await?))
                .await
        }
        // The socket stops the node itself; a directory that no node serves is stopped.
        Request::Stop => {}
    }
    Ok(())
}
