import * as inferry from "inferry";
import { page } from "../common/verify.js";

page(inferry);
