// Stands in for the module that the build makes: tests run the core where they are.
export { serve as default } from "../src/core";
