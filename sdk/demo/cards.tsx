import { useEffect, useRef } from "preact/hooks";
import type { Call } from "./call.js";
import { useTicks } from "./use.js";
import { stageWords, waitingSentence, wordsFor, wordsForClose } from "./words.js";

/** Between the click and the answer. */
export function JoiningCard({ call }: { call: Call }) {
  return (
    <main class="centre">
      <section class="card notice" aria-busy="true">
        <div class="spinner" aria-hidden="true" />
        <h1>Joining {call.view.choice?.room}</h1>
        <p role="status">Finding a server for you…</p>
        <button type="button" class="quiet" onClick={() => call.leave()}>Cancel</button>
      </section>
    </main>
  );
}

/** While a server is being started. */
export function WaitingCard({ call }: { call: Call }) {
  useTicks(250);
  const furthest = useRef(0);
  const wait = call.room.waiting;
  const waited = wait ? Math.max(0, Date.now() - wait.since.getTime()) : 0;
  const share = wait && waited + wait.remainingMs > 0 ? waited / (waited + wait.remainingMs) : 0;
  // The bar never goes back and never pretends to be done.
  furthest.current = Math.max(furthest.current, Math.min(0.96, share));
  const percent = Math.round(furthest.current * 100);
  return (
    <main class="centre">
      <section class="card notice">
        <h1>{call.view.choice?.room}</h1>
        <p role="status" class="large">{waitingSentence(wait ?? { remainingMs: 0 })}</p>
        <div class="progress" role="progressbar" aria-label="Starting a server" aria-valuemin={0} aria-valuemax={100} aria-valuenow={percent}>
          <div style={{ width: `${furthest.current * 100}%` }} />
        </div>
        <p class="faint">{wait ? stageWords[wait.stage] : ""} You will join by yourself as soon as it is ready.</p>
        <button type="button" class="quiet" onClick={() => call.leave()}>Cancel</button>
      </section>
    </main>
  );
}

/** After a failure: what it was, and what can be done. */
export function ErrorCard({ call }: { call: Call }) {
  const { error } = call.view;
  const words = wordsFor(error?.code ?? "internal");
  return <EndCard call={call} title={words.title} text={words.text} again="Try again" code={error?.code ?? "internal"} />;
}

/** After leaving. */
export function ClosedCard({ call }: { call: Call }) {
  const words = wordsForClose(call.view.reason);
  return <EndCard call={call} title={words.title} text={words.text} again="Join again" />;
}

function EndCard({ call, title, text, again, code }: { call: Call; title: string; text: string; again: string; code?: string }) {
  const button = useRef<HTMLButtonElement>(null);
  useEffect(() => button.current?.focus(), []);
  return (
    <main class="centre">
      <section class="card notice" role={code ? "alert" : "status"}>
        <h1>{title}</h1>
        <p>{text}</p>
        <div class="row">
          <button type="button" class="primary" ref={button} onClick={() => void call.rejoin()}>{again}</button>
          <button type="button" class="quiet" onClick={() => call.reset()}>Back to the start</button>
        </div>
        {code && <p class="faint code">{code}</p>}
      </section>
    </main>
  );
}
