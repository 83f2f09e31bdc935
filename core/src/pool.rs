//! Several requests of one model, handed out one by one.
