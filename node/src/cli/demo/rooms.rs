//! One channel per room: created by the first partner, shared with all, accepted by all.

use std::time::Duration;

use super::super::client::Connection;
use super::fleet::Fleet;
use super::stall::Stall;
use crate::api::{ApiError, ChannelInfo, History, Request, Role};

const PAUSE: Duration = Duration::from_millis(100);

/// Shares every room and waits until all nodes see all partners active in it.
pub async fn share_all(fleet: &mut Fleet, rooms: &[String]) -> Result<(), ApiError> {
    let partners: Vec<String> = fleet.members.iter().map(|m| m.name.clone()).collect();
    if let Some(first) = fleet.members.first_mut() {
        create(&mut first.admin, rooms, &partners).await?;
    }
    let mut stall = Stall::begin("the channels are not shared");
    loop {
        let mut seen = 0;
        for member in &mut fleet.members {
            seen += join(&mut member.admin, rooms).await?;
        }
        if seen == rooms.len() * partners.len() * partners.len() {
            return Ok(());
        }
        fleet.check()?;
        stall.observe(seen as u64)?;
        tokio::time::sleep(PAUSE).await;
    }
}

/// Creates the rooms that do not exist, and invites whoever is not invited.
async fn create(
    admin: &mut Connection,
    rooms: &[String],
    partners: &[String],
) -> Result<(), ApiError> {
    let channels: Vec<ChannelInfo> = admin.ask_all(&Request::ChannelList).await?;
    for room in rooms {
        let channel = match channels.iter().find(|channel| channel.name == *room) {
            Some(channel) => channel.clone(),
            None => {
                let name = room.clone();
                let create = Request::ChannelCreate {
                    name,
                    history: History::default(),
                    quorum: 0,
                };
                admin.ask_one(&create).await?
            }
        };
        let is_stranger = |name: &&String| channel.members.iter().all(|m| m.partner != **name);
        for partner in partners.iter().skip(1).filter(is_stranger) {
            let order = Request::ChannelShare {
                channel: room.clone(),
                partner: partner.clone(),
                role: Role::Contributor,
            };
            admin.order(&order).await?;
        }
    }
    Ok(())
}

/// Accepts what a node is invited to; tells how many active members it sees in all rooms.
async fn join(admin: &mut Connection, rooms: &[String]) -> Result<usize, ApiError> {
    let mut channels: Vec<ChannelInfo> = admin.ask_all(&Request::ChannelList).await?;
    channels.retain(|channel| rooms.contains(&channel.name));
    for channel in channels
        .iter()
        .filter(|channel| channel.status == "invited")
    {
        let order = Request::ChannelAccept {
            channel: channel.name.clone(),
        };
        admin.order(&order).await?;
    }
    let members = channels.iter().flat_map(|channel| &channel.members);
    Ok(members.filter(|member| member.status == "active").count())
}
