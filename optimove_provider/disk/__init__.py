"""Files on this machine: who may read them, what is temporary, and what is said when there is no room."""
