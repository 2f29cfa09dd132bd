//! What a user has written, for taking it along: looked for page by page, so that neither memory nor
//! the machine is held for long.

use comity_protocol::channel::Channel;
use comity_protocol::event::Kind;
use comity_protocol::graph::Pos;

use super::Home;
use super::feed::{Place, Room};
use super::shapes::Post;
use crate::api::ApiError;
use crate::service::failure;

/// Events of a channel that are looked at in one go.
const LOOKED_AT: usize = 4_096;

/// A page of what somebody wrote in a channel.
#[derive(Debug, Default)]
pub struct OwnPage {
    /// Own posts and files that stand for themselves, the oldest first.
    posts: Vec<Pos>,
    /// Posts with an own reaction whose first lies in this page.
    reacted: Vec<Pos>,
    /// Where the next page begins; none after the last.
    pub next: Option<Pos>,
}

impl Home {
    /// What a user of this partner wrote in a channel after a position.
    pub async fn own_page(
        &self,
        room: &Room,
        user: &str,
        after: Option<Pos>,
    ) -> Result<OwnPage, ApiError> {
        let (channel, partner, user) = (room.channel, self.node.partner, user.to_string());
        let looked = self.node.handle.look(move |replica| {
            let Some(channel) = replica.channels().get(&channel) else {
                return OwnPage::default();
            };
            let is_own = |pos: Pos| {
                let author = channel.author(pos);
                let name = author.user.as_ref().map(|name| name.as_str());
                author.partner == partner && name == Some(user.as_str())
            };
            page(channel, is_own, after)
        });
        let page = looked.await.map_err(failure::stopped)?;
        // The machine is ahead of the disk by what is being written.
        self.node.handle.settled().await.map_err(failure::stopped)?;
        Ok(page)
    }

    /// The posts of a page that are not withdrawn.
    pub async fn own_posts(&self, room: &Room, page: &OwnPage) -> Result<Vec<Post>, ApiError> {
        self.standing(room, &page.posts).await
    }

    /// The posts of a page that the user has reacted to.
    pub async fn own_reacted(&self, room: &Room, page: &OwnPage) -> Result<Vec<Post>, ApiError> {
        self.standing(room, &page.reacted).await
    }

    async fn standing(&self, room: &Room, found: &[Pos]) -> Result<Vec<Post>, ApiError> {
        let places = found
            .iter()
            .map(|pos| self.feed.place_at(room.channel, *pos));
        let places: Vec<Place> = places.collect();
        let mut posts = self.render(room, &places).await?;
        posts.retain(|post| post.delete_at == 0);
        Ok(posts)
    }
}

fn page(channel: &Channel, is_own: impl Fn(Pos) -> bool, after: Option<Pos>) -> OwnPage {
    let timeline = channel.timeline();
    let from = after.map_or(0, |after| {
        let key = channel.timeline_key(after);
        timeline.partition_point(|pos| channel.timeline_key(*pos) <= key)
    });
    let to = timeline.len().min(from + LOOKED_AT);
    let mut found = OwnPage::default();
    for pos in timeline[from..to]
        .iter()
        .copied()
        .filter(|pos| is_own(*pos))
    {
        match channel.entry(pos).kind {
            Kind::Post => found.posts.push(pos),
            Kind::File if channel.parent(pos).is_none() => found.posts.push(pos),
            Kind::React => found
                .reacted
                .extend(first_of_its_post(channel, pos, &is_own)),
            _ => {}
        }
    }
    if to < timeline.len() {
        found.next = timeline[from..to].last().copied();
    }
    found
}

/// The post of an own reaction that comes before all other own ones to it, so that each post is found
/// once.
fn first_of_its_post(
    channel: &Channel,
    reaction: Pos,
    is_own: impl Fn(Pos) -> bool,
) -> Option<Pos> {
    let post = channel.parent(reaction)?;
    let about = channel.about(post).into_iter();
    let own = about.filter(|pos| channel.entry(*pos).kind == Kind::React && is_own(*pos));
    let first = own.min_by_key(|pos| channel.timeline_key(*pos));
    (first == Some(reaction)).then_some(post)
}
