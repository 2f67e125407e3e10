/** Every address of the edge endpoint. */
import type { Route } from "../../contracts/route.ts";
import type { Forwarding } from "../forward.ts";
import { createAccountRoutes, type AccountRouteDeps } from "./account-routes.ts";
import { createCalibrationRoutes, type CalibrationRouteDeps } from "./calibration-routes.ts";
import { createConfigRoutes, type ConfigRouteDeps } from "./config-routes.ts";
import { createDetectorRoutes, type DetectorRouteDeps } from "./detector-routes.ts";
import { createDeviceApiForwards, createForwards } from "./forward-routes.ts";
import { createModelRoutes, type ModelRouteDeps } from "./model-routes.ts";
import { createLabelRoutes, type LabelDeps } from "./label-route.ts";
import { createQueryRoutes, type QueryRouteDeps } from "./query-routes.ts";
import { createSubmitRoutes, type Answering } from "./submit-route.ts";

/** What they need. */
export type EdgeRouteDeps = QueryRouteDeps &
  LabelDeps &
  DetectorRouteDeps &
  AccountRouteDeps &
  CalibrationRouteDeps &
  ModelRouteDeps &
  ConfigRouteDeps & { readonly answer: Answering };

/** On every listener; what is not known below `/device-api/` goes to the cloud. */
export function createEdgeRoutes(deps: EdgeRouteDeps): Route[] {
  const known = [
    ...createSubmitRoutes(deps.answer),
    ...createQueryRoutes(deps),
    ...createLabelRoutes(deps),
    ...createDetectorRoutes(deps),
    ...createAccountRoutes(deps),
    ...createConfigRoutes(deps),
    ...createCalibrationRoutes(deps),
    ...createModelRoutes(deps),
  ];
  return [...known, ...createDeviceApiForwards(deps.forwarding, known)];
}

/** On listeners for cameras: everything else goes to the cloud. */
export function createEdgePortRoutes(forwarding: Forwarding): Route[] {
  return createForwards(forwarding, "/{path*}");
}
