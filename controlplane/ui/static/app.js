// Every page's script. Pages that need more load a module of their own, which may import from these.

import "./forms.js";
import { localise } from "./local.js";
import { findCameras } from "./pictures.js";
import { ticking } from "./shell.js";
import { listen, onBoard } from "./stream.js";

const tick = ticking();
onBoard(tick);
onBoard(localise);
findCameras();
listen();
