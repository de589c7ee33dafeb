import { useEffect, useRef, useState } from "preact/hooks";
import type { Call } from "./call.js";
import { CloseIcon } from "./icons.js";

/** What people write to each other while they are in the room; who comes later has not missed much. */
export function Chat({ call, onClose }: { call: Call; onClose: () => void }) {
  const [text, setText] = useState("");
  const end = useRef<HTMLLIElement>(null);
  const field = useRef<HTMLInputElement>(null);
  const { chat } = call.view;
  useEffect(() => field.current?.focus(), []);
  useEffect(() => end.current?.scrollIntoView({ block: "end" }), [chat.length]);
  const send = async (event: Event) => {
    event.preventDefault();
    const line = text.trim();
    if (line && await call.write(line)) setText("");
  };
  return (
    <aside class="drawer chat" aria-label="Chat">
      <header><h2>Chat</h2><button type="button" class="plain" aria-label="Close" onClick={onClose}><CloseIcon /></button></header>
      <ol aria-live="polite">
        {chat.length === 0 && <li class="nothing">Nothing has been written yet.</li>}
        {chat.map((line) => (
          <li key={line.n} class={line.from === undefined ? "own" : ""}>
            <b>{line.from ?? "You"}</b>
            <span>{line.text}</span>
          </li>
        ))}
        <li ref={end} aria-hidden="true" class="end" />
      </ol>
      <form onSubmit={(event) => void send(event)}>
        <input ref={field} aria-label="Message" placeholder="Write to everybody" maxLength={2000} value={text} onInput={(e) => setText(e.currentTarget.value)} />
        <button type="submit" class="primary" disabled={text.trim() === ""}>Send</button>
      </form>
    </aside>
  );
}
