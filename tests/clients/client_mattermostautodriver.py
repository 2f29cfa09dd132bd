"""The story with mattermostautodriver: httpx, and aiohttp for the WebSocket."""

import sys

from mattermostautodriver import TypedDriver
from mattermostautodriver.exceptions import NoAccessTokenProvided, NotEnoughPermissions

from scenario import case_of_arguments, play
from story import Story


class Session:
    """One logged-in user, in mattermostautodriver's words."""

    FORBIDDEN = NotEnoughPermissions
    UNAUTHORIZED = NoAccessTokenProvided

    def __init__(self, partner, user):
        self.partner = partner
        self.name = user["username"]
        self._driver = TypedDriver(
            {
                "scheme": partner.scheme,
                "url": partner.host,
                "port": partner.port,
                "login_id": user["username"],
                "password": user["password"],
                "request_timeout": 30,
            }
        )

    @property
    def id(self):
        return self._driver.client.userid

    def log_in(self):
        return self._driver.login()

    def token(self):
        return self._driver.client.token

    def me(self):
        return self._driver.users.get_user("me")

    def teams(self):
        return self._driver.teams.get_teams_for_user("me")

    def team_by_name(self, name):
        return self._driver.teams.get_team_by_name(name)

    def channels(self, team_id):
        return self._driver.channels.get_channels_for_team_for_user("me", team_id)

    def channel_by_name(self, team_id, name):
        return self._driver.channels.get_channel_by_name(team_id, name)

    def listen(self, events):
        events.listen(self._driver.init_websocket)

    def post(self, channel_id, message, root_id=None, file_ids=None):
        return self._driver.posts.create_post(
            channel_id, message, root_id=root_id, file_ids=file_ids
        )

    def edit(self, post_id, message):
        return self._driver.posts.patch_post(post_id, message=message)

    def delete(self, post_id):
        return self._driver.posts.delete_post(post_id)

    def get(self, post_id):
        return self._driver.posts.get_post(post_id)

    def recent(self, channel_id):
        return in_order(self._driver.posts.get_posts_for_channel(channel_id, per_page=60))

    def thread(self, post_id):
        return in_order(self._driver.posts.get_post_thread(post_id))

    def user(self, user_id):
        return self._driver.users.get_user(user_id)

    def user_by_username(self, name):
        return self._driver.users.get_user_by_username(name)

    def react(self, post_id, emoji):
        return self._driver.reactions.save_reaction(
            {"user_id": self.id, "post_id": post_id, "emoji_name": emoji}
        )

    def unreact(self, post_id, emoji):
        return self._driver.reactions.delete_reaction(self.id, post_id, emoji)

    def reactions(self, post_id):
        return self._driver.reactions.get_reactions(post_id)

    def upload(self, channel_id, name, data):
        uploaded = self._driver.files.upload_file(files=(name, data), channel_id=channel_id)
        return uploaded["file_infos"][0]["id"]

    def download(self, file_id):
        return self._driver.files.get_file(file_id).content

    def search(self, team_id, word):
        return in_order(self._driver.posts.search_posts(team_id, word, is_or_search=False))

    def view(self, channel_id):
        return self._driver.channels.view_channel("me", channel_id)

    def unread(self, channel_id):
        return self._driver.channels.get_channel_unread("me", channel_id)

    def pin(self, post_id):
        return self._driver.posts.pin_post(post_id)

    def unpin(self, post_id):
        return self._driver.posts.unpin_post(post_id)

    def pinned(self, channel_id):
        return in_order(self._driver.channels.get_pinned_posts(channel_id))

    def log_out(self):
        return self._driver.logout()

    def me_with(self, token):
        self._driver.client.token = token
        return self.me()


def in_order(post_list):
    return [post_list["posts"][post_id] for post_id in post_list["order"]]


if __name__ == "__main__":
    sys.exit(play(Story(case_of_arguments(), Session).steps()))
