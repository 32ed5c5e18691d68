import { frame } from "/viewer/common.js";

frame();
