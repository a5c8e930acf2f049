// The websocket: unpacks frames and states, acknowledges drawn frames, and reconnects.

const FIRST_RETRY_MS = 250;
const LONGEST_RETRY_MS = 3000;
const SILENT_MS = 2000; // states arrive four times per second: a longer silence is a lost connection

export class Link extends EventTarget {
  #socket = null;
  #retry = FIRST_RETRY_MS;
  #lastMessage = performance.now();

  open() {
    const { protocol, host } = window.location;
    const socket = new WebSocket(`${protocol === "https:" ? "wss" : "ws"}://${host}/live`);
    socket.binaryType = "arraybuffer";
    socket.onopen = () => { this.#retry = FIRST_RETRY_MS; this.#lastMessage = performance.now(); this.dispatchEvent(new Event("connect")); };
    socket.onmessage = ({ data }) => {
      this.#lastMessage = performance.now();
      if (typeof data === "string") this.dispatchEvent(new CustomEvent("state", { detail: JSON.parse(data) }));
      else this.dispatchEvent(new CustomEvent("frame", { detail: unpack(data) }));
    };
    socket.onclose = () => {
      if (this.#socket !== socket) return;
      this.dispatchEvent(new Event("disconnect"));
      setTimeout(() => this.open(), this.#retry);
      this.#retry = Math.min(2 * this.#retry, LONGEST_RETRY_MS);
    };
    this.#socket = socket;
  }

  supervise() {
    setInterval(() => {
      if (performance.now() - this.#lastMessage > SILENT_MS) this.dispatchEvent(new Event("disconnect"));
    }, 500);
  }

  drawn(frame) { this.#send({ kind: "drawn", frame }); }
  text(text) { return this.#send({ kind: "text", text }); }
  watch(camera) { return this.#send({ kind: "watch", camera }); }
  play(action) { return this.#send({ kind: "play", action }); }

  #send(message) {
    if (this.#socket?.readyState !== WebSocket.OPEN) return false;
    this.#socket.send(JSON.stringify(message));
    return true;
  }
}

const utf8 = new TextDecoder();

// 4 bytes: length of the JSON | JSON | JPEG | sound
function unpack(buffer) {
  const length = new DataView(buffer).getUint32(0, true);
  const head = JSON.parse(utf8.decode(new Uint8Array(buffer, 4, length)));
  let at = 4 + length;
  const cut = (bytes) => { at += bytes; return buffer.slice(at - bytes, at); };
  const jpeg = head.picture ? new Blob([cut(head.picture.bytes)], { type: "image/jpeg" }) : null;
  const pcm = head.sound ? new Int16Array(cut(head.sound.bytes)) : null;
  return { head, jpeg, pcm };
}
