import { render } from "preact";
import { App } from "./app.js";
import { Source } from "./source.js";

// The API is where the page is, unless ?api= names its address.
const base = new URLSearchParams(location.search).get("api") ?? "";
const source = new Source(base.replace(/\/+$/, ""), sessionStorage);
const root = document.getElementById("app");
if (root) render(<App source={source} />, root);
source.start();
