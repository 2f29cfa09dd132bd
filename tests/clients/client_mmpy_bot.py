"""A bot of the second partner, made with mmpy_bot, answers a user of the first in the thread.

mmpy_bot speaks through mattermostautodriver 1.3.0, whose own log-in with a password does not work:
bots come with a token, as this one does.
"""

import asyncio
import os
import sys
import threading

from mattermostautodriver import Driver
from mmpy_bot import Bot, Plugin, Settings, listen_to

from scenario import Held, case_of_arguments, equal, expect, log_in, play, request


class Echo(Plugin):
    """Answers what was said to it, in the thread; another listener answers mentions alone."""

    @listen_to("^comity (w[a-z]+)$")
    def repeat(self, message, word):
        self.driver.reply_to(message, f"heard {word}")

    @listen_to("mentioned (w[a-z]+)$", needs_mention=True)
    async def mentioned(self, message, word):
        self.driver.reply_to(message, f"was mentioned: {word}")


class BotStory:
    """The steps; the bot is the second user of the second partner."""

    def __init__(self, case):
        self.case = case
        self.held = Held()
        self.bot_user = case.there.users[1]

    def steps(self):
        return [
            ("a user logs in, the driver by its token", self.log_in),
            ("the bot gets a token of its own", self.bot_token),
            ("the bot starts and its WebSocket is up", self.start),
            ("the bot answers in the thread", self.answer),
            ("the bot hears that it is mentioned", self.mention),
            ("the bot does not hear its own words", self.silent),
            ("the bot stops", self.stop),
        ]

    def log_in(self):
        token, user = log_in(self.case.here, self.case.here.users[0])
        self.held.user = Driver(driver_options(self.case.here, token))
        equal(self.held.user.login()["id"], user["id"], "the id that the token gives")
        team = self.held.user.teams.get_team_by_name(self.case.team)
        channels = self.held.user.channels.get_channels_for_team_for_user("me", team["id"])
        shared = sorted(channel["name"] for channel in channels if channel.get("shared"))
        expect(shared, "no shared channel")
        name = self.case.channel or shared[0]
        self.held.channel = self.held.user.channels.get_channel_by_name(team["id"], name)["id"]

    def bot_token(self):
        # The log-in's token serves the bot where a node gives no token of its own.
        self.held.token, bot = log_in(self.case.there, self.bot_user)
        self.held.bot_id = bot["id"]
        asked = {"description": "a bot of the tests"}
        path = f"/api/v4/users/{bot['id']}/tokens"
        status, _, body = request(self.case.there, "POST", path, asked, self.held.token)
        equal(status, 200, f"the status of POST {path} ({body})")
        expect(body.get("token"), "the answer has no token")
        equal(body.get("user_id"), bot["id"], "user_id of the token")
        self.held.token = body["token"]

    def start(self):
        settings = Settings(
            MATTERMOST_URL=f"{self.case.there.scheme}://{self.case.there.host}",
            MATTERMOST_PORT=self.case.there.port,
            BOT_TOKEN=self.held.token,
            BOT_TEAM=self.case.team,
            SSL_VERIFY=False,
        )
        bot = Bot(settings=settings, plugins=[Echo()], enable_logging=False)
        equal(bot.driver.user_id, self.held.bot_id, "who the bot is")
        up = threading.Event()
        handle = bot.event_handler._handle_event

        async def noted(frame):
            up.set()
            await handle(frame)

        bot.event_handler._handle_event = noted

        def run():
            asyncio.set_event_loop(asyncio.new_event_loop())
            bot.run()

        threading.Thread(target=run, daemon=True).start()
        self.held.bot = bot
        expect(up.wait(self.case.wait_s), f"the bot heard nothing within {self.case.wait_s} s")

    def answer(self):
        word = self.case.word()
        asked = self._say(f"comity {word}")
        reply = self._answer(f"heard {word}")
        equal(reply["root_id"], asked["id"], "root_id of the bot's reply")
        author = self.held.user.users.get_user(reply["user_id"])
        shown = f"{self.bot_user['username']}:{self.case.there.name}"
        equal(author["username"], shown, "the name of the bot")
        thread = self.held.user.posts.get_post_thread(asked["id"])
        expect(reply["id"] in thread["order"], "the thread lacks the bot's reply")
        self.held.answered = True

    def mention(self):
        expect(self.held.answered, "the bot does not answer")
        word = self.case.word()
        # Whoever is remote is mentioned by the name that is shown here.
        self._say(f"@{self.bot_user['username']}:{self.case.there.name} mentioned {word}")
        self._answer(f"was mentioned: {word}")

    def silent(self):
        expect(self.held.answered, "the bot does not answer")
        word, later = self.case.word(), self.case.word()
        self.held.bot.driver.create_post(self._channel_there(), f"comity {word}")
        self._say(f"comity {later}")
        self._answer(f"heard {later}")
        expect(not self._shown(f"heard {word}"), "the bot answered itself")

    def stop(self):
        self.held.bot.driver.disconnect()
        self.held.bot.stop()
        expect(not self.held.bot.running, "the bot runs on")

    def _channel_there(self):
        driver = self.held.bot.driver
        team = driver.teams.get_team_by_name(self.case.team)
        here = self.held.user.channels.get_channel(self.held.channel)
        return driver.channels.get_channel_by_name(team["id"], here["name"])["id"]

    def _say(self, message):
        return self.held.user.posts.create_post(
            {"channel_id": self.held.channel, "message": message}
        )

    def _answer(self, message):
        return self.case.until(f"{message!r} of the bot", lambda: self._shown(message))

    def _shown(self, message):
        recent = self.held.user.posts.get_posts_for_channel(self.held.channel)
        return next((p for p in recent["posts"].values() if p["message"] == message), None)


def driver_options(partner, token):
    return {
        "scheme": partner.scheme,
        "url": partner.host,
        "port": partner.port,
        "token": token,
        "request_timeout": 30,
    }


if __name__ == "__main__":
    code = play(BotStory(case_of_arguments()).steps())
    sys.stdout.flush()
    # A bot that did not start leaves threads that nothing ends.
    os._exit(code)
