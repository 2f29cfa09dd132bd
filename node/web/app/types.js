// The shapes that the page's modules share. This file holds types only.

/**
 * @typedef {{name: string, id: string, path: string}} Route
 * @typedef {{id: string, username: string, first_name?: string, last_name?: string, nickname?: string, remote_id?: string | null, delete_at: number, is_bot?: boolean, roles?: string, props?: Record<string, string>, notify_props?: Record<string, string>, mfa_active?: boolean, auth_service?: string, email?: string, update_at?: number}} User
 * @typedef {{id: string, name: string, display_name: string}} Team
 * @typedef {{id: string, team_id: string, type: string, name: string, display_name: string, header: string, shared: boolean, last_post_at: number, total_msg_count: number, delete_at: number, create_at: number}} Channel
 * @typedef {{channel_id: string, msg_count: number, mention_count: number, last_viewed_at: number, notify_props?: Record<string, string>, roles?: string}} Member
 * @typedef {{user_id: string, post_id: string, emoji_name: string, create_at: number}} Reaction
 * @typedef {{id: string, name: string, size: number, mime_type: string, extension: string, width?: number, height?: number, has_preview_image?: boolean}} FileInfo
 * @typedef {{id: string, channel_id: string, user_id: string, root_id: string, message: string, create_at: number, update_at: number, edit_at: number, delete_at: number, is_pinned: boolean, type: string, reply_count: number, last_reply_at: number, pending_post_id: string, file_ids?: string[], props: {comity_audience?: string[], comity_late?: boolean, comity_forked?: boolean}, metadata: {files?: FileInfo[], reactions?: Reaction[]}}} Post
 * @typedef {{order: string[], posts: Record<string, Post>, next_post_id: string, prev_post_id: string}} PostList
 * @typedef {{partner: string, own: boolean, status: string, role: string}} ChannelPartner
 * @typedef {{partner: string, why: string}} Excluded
 * @typedef {{receives: string[], excluded: Excluded[]}} Audience
 * @typedef {{post_id: string, for_all: boolean, receives: {partner: string, received: boolean, receipts: {user: string, state: string}[]}[], excluded: Excluded[], final: boolean, late: boolean, forked: boolean}} Delivery
 * @typedef {{id: string, type: string, team_id: string, display_name: string, channel_ids: string[], collapsed: boolean, muted: boolean, sorting: string}} Category
 * @typedef {{id: string, channelId: string, rootId: string, message: string, fileIds: string[], files: FileInfo[], to: string[], createdMs: number, state: 'waiting' | 'sending' | 'failed', error: string, tries: number, nextMs: number, userId: string}} OutboxItem
 */
export {};
