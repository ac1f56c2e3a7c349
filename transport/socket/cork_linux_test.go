package socket

const corks = true
