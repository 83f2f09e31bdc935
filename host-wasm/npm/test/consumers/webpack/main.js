import * as inferry from "inferry";
import { page } from "../shared/verify.js";

page(inferry);
