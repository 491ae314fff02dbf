// The yardstick: Socket.IO on Node with the Redis adapter, which joins, broadcasts and acknowledges, and stores nothing.
const { createServer } = require("http");
const { createClient } = require("redis");
const { createAdapter } = require("@socket.io/redis-adapter");
const { Server } = require("socket.io");

(async () => {
  const pub = createClient({ url: process.env.REDIS_URL });
  const sub = pub.duplicate();
  await Promise.all([pub.connect(), sub.connect()]);
  const http = createServer();
  const io = new Server(http, { transports: ["websocket"], adapter: createAdapter(pub, sub), perMessageDeflate: false });
  let seq = 0;
  io.on("connection", (socket) => {
    socket.on("session:join", async ({ session }, ack) => { await socket.join(session); ack({ ok: true }); });
    socket.on("chat:send", ({ session, id, text }, ack) => {
      io.to(session).emit("chat:message", { session, seq: ++seq, id, sender: "p-tutor", text, at: new Date().toISOString() });
      ack?.({ ok: true, id, seq });
    });
    socket.on("chat:typing", ({ session, typing }, ack) => {
      socket.to(session).emit("chat:typing", { session, user: "p-tutor", typing });
      ack({ ok: true });
    });
  });
  http.listen(Number(process.env.PORT), "127.0.0.1");
})();
